"""`duet-train release`: builds, packs and measures released pairs."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

from duet_contract.commands import option
from duet_training.commands.options import COUNT, PATH, Resumable, seed, serving_python

STORIES, PRIVATE_SUMS = "stories-5m", "private-sums-135m"
REAL_SETS = ("addsub", "gsm8k_test", "multiarith", "singleeq", "svamp")


@click.group()
def release() -> None:
    """Build, pack and measure released pairs."""


@release.command(cls=Resumable, short_help="Build a released pair from nothing.")
@click.argument("out", type=PATH)
@option("--pair", click.Choice((STORIES, PRIVATE_SUMS)), None, "Pair to build.", STORIES)
@option("--base", PATH, "DIR", "Base model of a pair with an adapter.")
@option("--worked", PATH, "JSONL", "Problems with annotated solutions, for a pair with an adapter.")
@click.option("--dry-run", is_flag=True, help="List the commands and exit.")
@option("--into", PATH, "DIR", "Copy the finished pair to DIR.")
@option("--figures-into", PATH, "DIR", "Only rewrite the figures and the page of the pair in DIR.")
@option("--real", PATH, "JSONL", "Real questions. Repeatable.", multiple=True)
@option("--peer", None, "PAIR", "Pair whose reasoner answers the real questions, too.")
@option(
    "--serving-python",
    PATH,
    "FILE",
    "Python interpreter that has vLLM, for parity and served figures.",
)
def build(**given: Any) -> None:
    """Build a released pair in OUT: SFT, joint training, evaluation, export, served figures.

    SFT of stories-5m alone takes about 3.5 hours on two cores. The same command
    continues. --into then copies the released files.
    """
    from duet_training.release.release import build as run

    run(SimpleNamespace(**given))


@release.command(short_help="Convert a public test set.")
@click.argument("set", type=click.Choice(REAL_SETS))
@click.argument("file", type=PATH)
@option("--to", PATH, "OUT", "JSONL file to write.", required=True)
def real(set: str, file: Path, to: Path) -> None:  # noqa: A002 (its name on the command line)
    """Write the questions of SET, a public test set, from FILE, its file in its repository.

    real_sets.json names repository, commit, path and the rows that are left out.
    """
    from duet_training.release.real import write_real

    write_real(set, file, to)


@release.command(short_help="Write the questions of a calibration.")
@click.argument("out", type=PATH)
@option(
    "--set", PATH, "JSONL", "Questions of which all are used. Repeatable.", multiple=True, to="sets"
)
@option("--apart", PATH, "JSONL", "Questions to leave out. Repeatable.", multiple=True)
@option("--worked", PATH, "JSONL", "Questions to draw --count of.")
@option("--count", COUNT, "N", "Number of questions drawn, and of generated ones.", 400)
@seed("the draws")
def calibration_data(
    out: Path,
    sets: tuple[Path, ...],
    apart: tuple[Path, ...],
    worked: Path | None,
    count: int,
    seed: int,
) -> None:
    """Write the questions that a released pair's calibration is fitted on, for duet-device calibrate.

    No question is in a set of --apart, not even with other numbers: the pair is measured on those.
    """
    from duet_training.release.calibration_data import write_questions

    counts = write_questions(out, sets, apart, worked, count, seed)
    click.echo(f"wrote {counts.total()} questions: {dict(counts)}")


@release.command(cls=Resumable, short_help="Measure a pair as it is served.")
@click.argument("out", type=PATH)
@serving_python
@option("--set", None, "NAME=FILE", "JSONL test set. Repeatable.", multiple=True, to="sets")
@option("--peer", None, "PAIR", "Pair whose reasoner answers the test sets, too.")
@option("--of", PATH, "DIR", "Pair to measure, with its figures [the one in OUT].")
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
@option("--into", PATH, "DIR", "Released pair whose page gets the figures.")
@option("--questions", COUNT, "N", "Number of generated problems.", 500)
def signals(pair: str, out: Path, into: Path | None, questions: int) -> None:
    """Measure what the signals of PAIR carry, on held-out problems: see `duet-train evaluate`.

    OUT holds the decoder's weights, the questions and the result.
    """
    from duet_training.release.signals import measure_signals

    measure_signals(pair, out.resolve(), into and into.resolve(), questions)


@release.command(cls=Resumable, short_help="Measure the time per question.")
@click.argument("out", type=PATH)
@serving_python
@option("--data", PATH, "JSONL", "Questions [generated ones].")
def wall_clock(out: Path, serving_python: Path, data: Path | None) -> None:
    """Measure the seconds per question of the split and of the reasoner alone, without a link."""
    from duet_training.release.wall_clock import measure_wall_clock

    measure_wall_clock(out.resolve(), serving_python.absolute(), data and data.resolve())
