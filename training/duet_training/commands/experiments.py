"""`duet-train experiments`: every comparison at small scale, from scratch, on a CPU."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

from duet_contract.commands import Integer, option
from duet_training.commands.options import MINUTES, PATH, Resumable

SCALES = ("full", "reduced")
# The committed results and the report are next to the package.
_TRAINING = Path(__file__).parents[2]


def _work() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("duet") / "evidence"


@click.command(cls=Resumable)
@click.option("--dry-run", is_flag=True, help="List the stages and exit.")
@click.option("--report", is_flag=True, help="Only write the report.")
@option("--scale", click.Choice(SCALES), None, "Scale of the runs.", "full")
@option("--only", None, "PATTERN", "Stages to run, such as duet-*. Repeatable.", multiple=True)
@option("--minutes", MINUTES, "N", "Start no stage after N minutes.", 180.0)
@option("--jobs", Integer(1, 256), "N", "Number of parallel stages; each uses about a core.", 2)
@option(
    "--results",
    PATH,
    "DIR",
    "Directory of results.",
    _TRAINING / "experiments" / "results",
    show_default="experiments/results of training/",
)
@option(
    "--work",
    PATH,
    "DIR",
    "Directory of weights, data and logs.",
    _work,
    show_default="in the cache",
)
@option(
    "--to",
    PATH,
    "FILE",
    "File of the report.",
    _TRAINING / "EXPERIMENTS.md",
    show_default="EXPERIMENTS.md of training/",
)
def experiments(**given: Any) -> None:
    """Run every comparison at small scale, from scratch, on a CPU.

    Stages with a result are done; the same command continues. What is missing in the working
    directory is made again. The report is written at the end.
    """
    from duet_training.experiments.command import run_experiments

    run_experiments(SimpleNamespace(**given))
