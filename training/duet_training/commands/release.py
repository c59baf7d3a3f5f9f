"""`duet-train release`: builds, packs and measures released pairs."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

from duet_training.commands.options import COUNT, PATH, Resumable, serving_python

STORIES, PRIVATE_SUMS = "stories-5m", "private-sums-135m"
REAL_SETS = ("addsub", "gsm8k_test", "multiarith", "singleeq", "svamp")


@click.group()
def release() -> None:
    """Build, pack and measure released pairs."""


@release.command(cls=Resumable, short_help="Build a released pair from nothing.")
@click.argument("out", type=PATH)
@click.option(
    "--pair",
    type=click.Choice((STORIES, PRIVATE_SUMS)),
    default=STORIES,
    help="Pair to build.",
)
@click.option("--base", type=PATH, metavar="DIR", help="Base model of a pair with an adapter.")
@click.option(
    "--worked",
    type=PATH,
    metavar="JSONL",
    help="Problems with annotated solutions, for a pair with an adapter.",
)
@click.option("--dry-run", is_flag=True, help="List the commands and exit.")
@click.option("--into", type=PATH, metavar="DIR", help="Copy the finished pair to DIR.")
@click.option(
    "--figures-into",
    type=PATH,
    metavar="DIR",
    help="Only rewrite the figures and the page of the pair in DIR.",
)
@click.option(
    "--real", type=PATH, multiple=True, metavar="JSONL", help="Real questions. Repeatable."
)
@click.option("--peer", metavar="PAIR", help="Pair whose reasoner answers the real questions, too.")
@click.option(
    "--serving-python",
    type=PATH,
    metavar="FILE",
    help="Python interpreter that has vLLM, for parity and served figures.",
)
def build(**given: Any) -> None:
    """Build a released pair in OUT: SFT, joint training, evaluation, export, served figures.

    The supervised training of stories-5m alone takes about 3.5 hours on two cores. The same command
    continues. --into then copies the released files.
    """
    from duet_training.release.release import build as run

    run(SimpleNamespace(**given))


@release.command(short_help="Convert a public test set.")
@click.argument("set", type=click.Choice(REAL_SETS))
@click.argument("file", type=PATH)
@click.option("--to", type=PATH, required=True, metavar="OUT", help="JSONL file to write.")
def real(set: str, file: Path, to: Path) -> None:  # noqa: A002 (its name on the command line)
    """Write the questions of SET, a public test set, from FILE, its file in its repository.

    real_sets.json names repository, commit, path and the rows that are left out.
    """
    from duet_training.release.real import write_real

    write_real(set, file, to)


@release.command(cls=Resumable, short_help="Measure a pair as it is served.")
@click.argument("out", type=PATH)
@serving_python
@click.option(
    "--set", "sets", multiple=True, metavar="NAME=FILE", help="JSONL test set. Repeatable."
)
@click.option("--peer", metavar="PAIR", help="Pair whose reasoner answers the test sets, too.")
@click.option(
    "--of", type=PATH, metavar="DIR", help="Pair to measure, with its figures [the one in OUT]."
)
def served(
    out: Path, serving_python: Path, sets: tuple[str, ...], peer: str | None, of: Path | None
) -> None:
    """Measure the built pair in OUT as it is served, over whole test sets.

    The bench asks the pair's service and, alone, the reasoner through vLLM's OpenAI server. A
    question that fails counts as wrong.
    """
    from duet_training.release.served import measure_served, read_sets

    pair = of and of.resolve()
    measure_served(out.resolve(), serving_python.absolute(), read_sets(list(sets)), peer, pair)


@release.command(cls=Resumable, short_help="Measure what signals carry.")
@click.argument("pair")
@click.argument("out", type=PATH)
@click.option("--into", type=PATH, metavar="DIR", help="Released pair whose page gets the figures.")
@click.option(
    "--questions", type=COUNT, default=500, metavar="N", help="Number of generated problems."
)
def signals(pair: str, out: Path, into: Path | None, questions: int) -> None:
    """Measure what the signals of PAIR carry, on held-out problems: see `duet-train evaluate`.

    OUT holds the decoder's weights, the questions and the result.
    """
    from duet_training.release.signals import measure_signals

    measure_signals(pair, out.resolve(), into and into.resolve(), questions)


@release.command(cls=Resumable, short_help="Measure the time per question.")
@click.argument("out", type=PATH)
@serving_python
@click.option("--data", type=PATH, metavar="JSONL", help="Questions [generated ones].")
def wall_clock(out: Path, serving_python: Path, data: Path | None) -> None:
    """Measure the seconds per question of the split and of the reasoner alone, without a link."""
    from duet_training.release.wall_clock import measure_wall_clock

    measure_wall_clock(out.resolve(), serving_python.absolute(), data and data.resolve())
