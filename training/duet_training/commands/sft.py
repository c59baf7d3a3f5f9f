"""`duet-train sft`: supervised fine-tuning of pairs."""

from collections.abc import Callable
from functools import reduce
from types import SimpleNamespace
from typing import Any

import click

from duet_contract.commands import Integer, Number
from duet_training.commands.options import (
    COUNT,
    MINUTES,
    PATH,
    RATE,
    ROLE,
    STEPS,
    TOKENS,
    F,
    Resumable,
    seed,
    threads,
)

SIZES = ("shipped", "small", "tiny")
LESSONS = ("at-length", "broad", "concluded", "terse")
SCOPES = ("easy", "hard", "long", "other", "wide", "wide-long", "wide-other")
BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"  # pragma: allowlist secret
_EPILOG = """\b
Exit codes:
    0  done
    1  failed
    2  usage
    3  the time is up; the same command continues
  130  interrupted; the same command continues
"""

role = click.option("--role", type=ROLE, help="Train only this model [both].")
minutes = click.option(
    "--minutes", type=MINUTES, default=1e6, metavar="N", help="Time limit in minutes."
)
base = click.option(
    "--base", type=PATH, required=True, metavar="DIR", help="Directory of the base model."
)
annotated = click.option(
    "--annotated", type=PATH, required=True, metavar="JSONL", help="GSM8K training set."
)
generated = click.option(
    "--generated",
    type=Number(0, 1),
    default=0.45,
    metavar="SHARE",
    help="Share of generated problems.",
)
part = click.option(
    "--part", type=COUNT, metavar="N", help="Questions to draw from each file [all]."
)
results = click.option("--results", type=PATH, metavar="JSON", help="File for the figures.")
base_name = click.option(
    "--base-name", default=BASE, metavar="NAME", help="Name of the base model on the hub."
)


def _model(name: str, *, steps: int, rate: float, tokens: int) -> Callable[[F], F]:
    """Steps, learning rate and batch of one of the models, with their defaults."""
    options = (
        click.option(
            f"--{name}-steps", type=STEPS, default=steps, metavar="N", help=f"Steps of the {name}."
        ),
        click.option(
            f"--{name}-rate",
            type=RATE,
            default=rate,
            metavar="R",
            help=f"Learning rate of the {name}.",
        ),
        click.option(
            f"--{name}-tokens",
            type=TOKENS,
            default=tokens,
            metavar="N",
            help=f"Tokens per batch of the {name}.",
        ),
    )
    return lambda function: reduce(lambda made, option: option(made), reversed(options), function)


def _adapter(*, rank: int, most_rank: int, first: int) -> Callable[[F], F]:
    """Rank and first layer of the reasoner's adapter, with their defaults."""
    ranks = click.option(
        "--rank",
        type=Integer(1, most_rank),
        default=rank,
        metavar="N",
        help="Rank of the adapter.",
    )
    layers = click.option(
        "--first",
        type=Integer(0, 1024),
        default=first,
        metavar="N",
        help="First layer with an adapter.",
    )
    return lambda function: ranks(layers(function))


@click.group()
def sft() -> None:
    """Train pairs by supervised fine-tuning."""


@sft.command(cls=Resumable, epilog=_EPILOG, short_help="Train both models from scratch.")
@click.argument("out", type=PATH)
@click.option("--size", type=click.Choice(SIZES), default="small", help="Size of the models.")
@role
@click.option(
    "--reasoner-steps", type=STEPS, default=4000, metavar="N", help="Steps of the reasoner."
)
@click.option(
    "--decoder-steps", type=STEPS, default=2500, metavar="N", help="Steps of the decoder."
)
@click.option("--reasoner-from", type=PATH, metavar="DIR", help="Copy the reasoner's weights.")
@click.option("--lessons", type=click.Choice(LESSONS), default="broad", help="Data mixture.")
@click.option("--tokens", type=TOKENS, default=3072, metavar="N", help="Tokens per batch.")
@click.option("--rate", type=RATE, default=2e-3, metavar="R", help="Learning rate.")
@seed("initialization and data")
@minutes
@threads
@click.option("--float32", is_flag=True, help="Do not use bfloat16.")
@click.option("--measure", type=COUNT, metavar="N", help="Only evaluate, on N problems.")
def scratch(**given: Any) -> int:
    """Train both models of a pair from scratch, in OUT, on synthetic word problems.

    Creates the models if OUT has none. The same command continues.
    """
    from duet_training.sft.from_scratch import train

    return train(SimpleNamespace(**given))


@sft.command(cls=Resumable, epilog=_EPILOG, short_help="Train a pair for private quantities.")
@click.argument("out", type=PATH)
@base
@base_name
@annotated
@generated
@click.option("--into", type=PATH, metavar="DIR", help="Pack the finished pair and its recipe.")
@role
@_adapter(rank=8, most_rank=4096, first=6)
@_model("reasoner", steps=8000, rate=1.5e-3, tokens=1024)
@_model("decoder", steps=3000, rate=2e-3, tokens=3072)
@seed("initialization and data")
@minutes
@threads
def formulas(**given: Any) -> int:
    """Train a pair for private quantities, in OUT: the reasoner writes formulas over labels.

    The reasoner is a base model with an adapter, the decoder is trained from scratch. The same
    command continues. `duet-cloud pairs build DIR/recipe.toml` builds the pair of --into DIR.
    """
    from duet_training.sft.formula_pair import train

    return train(SimpleNamespace(**given))


@sft.command(short_help="Measure the accuracy of formulas.")
@click.argument("out", type=PATH)
@click.argument("files", nargs=-1, type=PATH)
@click.option("--base", type=PATH, metavar="DIR", help="Base model [the merged model in OUT].")
@part
@click.option(
    "--generated",
    type=Integer(0, 1_000_000),
    default=0,
    metavar="N",
    help="Number of generated problems of each kind.",
)
@seed("the drawn questions")
@threads
@click.option("--tries", type=COUNT, default=1, metavar="N", help="Most formulas a question.")
@click.option(
    "--temperature",
    type=Number(0.01, 2),
    default=0.7,
    metavar="T",
    help="Temperature of all tries but the first.",
)
@results
@click.option("--formulas", type=PATH, metavar="ROWS", help="Judge formulas of an earlier --rows.")
@click.option("--rows", type=PATH, metavar="JSONL", help="File for every outcome.")
def formula_accuracy(**given: Any) -> None:
    """Measure how often the formulas of the pair in OUT are right.

    FILES are JSON lines with question and answer.
    """
    from duet_training.sft.formula_measure import measure_formulas

    measure_formulas(SimpleNamespace(**given))


@sft.command(cls=Resumable, epilog=_EPILOG, short_help="Train one model that answers by itself.")
@click.argument("out", type=PATH)
@base
@base_name
@annotated
@generated
@_adapter(rank=8, most_rank=4096, first=6)
@click.option("--steps", type=STEPS, default=8000, metavar="N", help="Steps.")
@click.option("--rate", type=RATE, default=1.5e-3, metavar="R", help="Learning rate.")
@click.option("--tokens", type=TOKENS, default=1024, metavar="N", help="Tokens per batch.")
@seed("initialization and data")
@minutes
@threads
def solutions(**given: Any) -> int:
    """Train an adapter of a base model, in OUT, to write whole solutions in words.

    It is what a pair for private quantities is compared with. The same command continues.
    """
    from duet_training.sft.solution_model import train_solutions

    return train_solutions(SimpleNamespace(**given))
