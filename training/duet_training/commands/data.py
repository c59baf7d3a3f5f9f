"""`duet-train data`: data sets as VERL's rows, and generated problems."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

from duet_contract.commands import Integer, option
from duet_contract.json_data import json_text
from duet_training.commands.options import COUNT, PATH, SPLIT, TOKENS, seed

MOST_PROBLEMS = 10_000_000


@click.group()
def data() -> None:
    """Prepare data sets for training; generate synthetic word problems."""


@data.command(short_help="Prepare a data set as parquet rows.")
@click.argument("name")
@option("--out", PATH, "DIR", "Directory of parquet files.", required=True)
@option("--from", PATH, "PATH", "Local copy in the hub's layout, or the JSONL file.", to="source")
@seed("splits and generation")
@option("--validation", Integer(0, MOST_PROBLEMS), "N", "Number of problems for validation [100].")
@option("--test", Integer(0, MOST_PROBLEMS), "N", "Number of problems for testing.", 0)
@option("--size", Integer(1, MOST_PROBLEMS), "N", "Number of problems to generate.", 1000)
@option("--option", None, "KEY=JSON", "Gym task option. Repeatable.", multiple=True, to="options")
@option(
    "--instruction",
    click.Choice(("pair", "data")),
    None,
    "Whose instruction models read: the pair's, or the set's as in the released code.",
    "pair",
)
@option("--verifier", None, "NAME", "Verifier of JSONL answers.", "math")
@option(
    "--exclude",
    PATH,
    "FILE",
    "Parquet file whose questions are left out. Repeatable.",
    multiple=True,
)
@option("--pair", PATH, "FILE", "Pair whose prompts --max-prompt measures.")
@option("--max-prompt", TOKENS, "N", "Maximum prompt length in tokens.", 1024)
def prepare(**given: Any) -> None:
    """Prepare the data set NAME as VERL's parquet rows.

    NAME is a known set, jsonl (with --from FILE), gym:TASK or stories:SCOPE. An unknown NAME lists
    the known ones.
    """
    from duet_training.data.command import prepare as write

    click.echo(json_text(write(SimpleNamespace(**given))))


@data.command(short_help="Generate story problems.")
@click.argument("scope")
@option("--split", SPLIT, None, "Split to draw from.", "test")
@option("--count", COUNT, "N", "Number of problems.", 200)
@seed("the problems")
def story_problems(scope: str, split: Any, count: int, seed: int) -> None:
    """Print synthetic word problems of SCOPE as JSON lines.

    An unknown SCOPE lists the known ones.
    """
    from duet_training.data.story_problems.draw import question_lines

    click.echo(question_lines(scope, split, count, seed), nl=False)


@data.command(short_help="Generate masked word problems.")
@option("--annotated", PATH, "FILE", "GSM8K training set, JSONL.")
@option("--split", SPLIT, None, "Split to draw from.", "test")
@click.option("--held-out", is_flag=True, help="Draw from held-out templates.")
@option("--count", COUNT, "N", "Number of problems.", 200)
@seed("the problems")
def word_problems(
    annotated: Path | None, split: Any, held_out: bool, count: int, seed: int
) -> None:
    """Print masked word problems as JSON lines: generated, or those of --annotated.

    With --annotated, stderr shows how many solutions became formulas.
    """
    from duet_training.data.word_problems.command import problem_lines

    for line in problem_lines(annotated, split, held_out, count, seed):
        click.echo(line)
