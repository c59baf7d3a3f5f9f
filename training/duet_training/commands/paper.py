"""`duet-train paper`: the paper's tables, from data to report."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

from duet_contract.commands import Integer, option
from duet_training.commands.options import PATH, Resumable


@click.command(cls=Resumable)
@click.argument("out", type=PATH)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@option("--seeds", Integer(1, 100), "N", "Seeds.", 3)
@click.option("--dry-run", is_flag=True, help="List the stages with estimates and exit.")
@option("--hardware", None, "NAME", "Hardware profile.", "h100x4")
@option(
    "--pair",
    PATH,
    "FILE",
    "Pair to train: a YAML file or a built-in name.",
    Path("qwen3-4b-0.6b-released"),
)
@option(
    "--from", PATH, "DIR", "Directory with a local copy of each data set, by name.", to="source"
)
@option("--only", None, "NAME", "Training or untrained method to run. Repeatable.", multiple=True)
@click.option("--keep-weights", is_flag=True, help="Keep checkpoints after their evaluation.")
def paper(**given: Any) -> None:
    """Train and evaluate everything in the paper's tables; write the report into OUT.

    Stages with a record in OUT are done; the same command continues. KEY=VALUE settings apply to
    every training and evaluation.
    """
    from duet_training.experiments.paper.command import run_paper

    run_paper(SimpleNamespace(**given))
