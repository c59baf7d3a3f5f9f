"""`duet-train data`: data sets as VERL's rows, and generated problems."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click

from duet_contract.commands import Integer
from duet_contract.json_data import json_text
from duet_training.commands.options import COUNT, PATH, SPLIT, TOKENS, seed

MOST_PROBLEMS = 10_000_000


@click.group()
def data() -> None:
    """Prepare data sets for training; generate synthetic word problems."""


@data.command(short_help="Prepare a data set as parquet rows.")
@click.argument("name")
@click.option("--out", type=PATH, required=True, metavar="DIR", help="Directory of parquet files.")
@click.option(
    "--from",
    "source",
    type=PATH,
    metavar="PATH",
    help="Local copy in the hub's layout, or the JSONL file.",
)
@seed("splits and generation")
@click.option(
    "--validation",
    type=Integer(0, MOST_PROBLEMS),
    metavar="N",
    help="Number of problems for validation [100].",
)
@click.option(
    "--test",
    type=Integer(0, MOST_PROBLEMS),
    default=0,
    metavar="N",
    help="Number of problems for testing.",
)
@click.option(
    "--size",
    type=Integer(1, MOST_PROBLEMS),
    default=1000,
    metavar="N",
    help="Number of problems to generate.",
)
@click.option(
    "--option", "options", multiple=True, metavar="KEY=JSON", help="Gym task option. Repeatable."
)
@click.option(
    "--instruction",
    type=click.Choice(("pair", "data")),
    default="pair",
    help="Whose instruction models read: the pair's, or the set's as in the released code.",
)
@click.option("--verifier", default="math", metavar="NAME", help="Verifier of JSONL answers.")
@click.option(
    "--exclude",
    type=PATH,
    multiple=True,
    metavar="FILE",
    help="Parquet file whose questions are left out. Repeatable.",
)
@click.option("--pair", type=PATH, metavar="FILE", help="Pair whose prompts --max-prompt measures.")
@click.option(
    "--max-prompt", type=TOKENS, default=1024, metavar="N", help="Maximum prompt length in tokens."
)
def prepare(**given: Any) -> None:
    """Prepare the data set NAME as VERL's parquet rows.

    NAME is a known set, jsonl (with --from FILE), gym:TASK or stories:SCOPE. An unknown NAME lists
    the known ones.
    """
    from duet_training.data.command import prepare as write

    click.echo(json_text(write(SimpleNamespace(**given))))


@data.command(short_help="Generate story problems.")
@click.argument("scope")
@click.option("--split", type=SPLIT, default="test", help="Split to draw from.")
@click.option("--count", type=COUNT, default=200, metavar="N", help="Number of problems.")
@seed("the problems")
def story_problems(scope: str, split: Any, count: int, seed: int) -> None:
    """Print synthetic word problems of SCOPE as JSON lines.

    An unknown SCOPE lists the known ones.
    """
    from duet_training.data.story_problems.draw import question_lines

    click.echo(question_lines(scope, split, count, seed), nl=False)


@data.command(short_help="Generate masked word problems.")
@click.option("--annotated", type=PATH, metavar="FILE", help="GSM8K training set, JSONL.")
@click.option("--split", type=SPLIT, default="test", help="Split to draw from.")
@click.option("--held-out", is_flag=True, help="Draw from held-out templates.")
@click.option("--count", type=COUNT, default=200, metavar="N", help="Number of problems.")
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
