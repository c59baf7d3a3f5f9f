"""`duet-train experiments`: every comparison at small scale, from scratch, on a CPU."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

from duet_contract.commands import Integer
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
@click.option("--scale", type=click.Choice(SCALES), default="full", help="Scale of the runs.")
@click.option(
    "--only", multiple=True, metavar="PATTERN", help="Stages to run, such as duet-*. Repeatable."
)
@click.option(
    "--minutes", type=MINUTES, default=180.0, metavar="N", help="Start no stage after N minutes."
)
@click.option(
    "--jobs",
    type=Integer(1, 256),
    default=2,
    metavar="N",
    help="Number of parallel stages; each uses about a core.",
)
@click.option(
    "--results",
    type=PATH,
    default=_TRAINING / "experiments" / "results",
    show_default="experiments/results of training/",
    metavar="DIR",
    help="Directory of results.",
)
@click.option(
    "--work",
    type=PATH,
    default=_work,
    show_default="in the cache",
    metavar="DIR",
    help="Directory of weights, data and logs.",
)
@click.option(
    "--to",
    type=PATH,
    default=_TRAINING / "EXPERIMENTS.md",
    show_default="EXPERIMENTS.md of training/",
    metavar="FILE",
    help="File of the report.",
)
def experiments(**given: Any) -> None:
    """Run every comparison at small scale, from scratch, on a CPU.

    Stages with a result are done; the same command continues. What is missing in the working
    directory is made again. The report is written at the end.
    """
    from duet_training.experiments.command import run_experiments

    run_experiments(SimpleNamespace(**given))
