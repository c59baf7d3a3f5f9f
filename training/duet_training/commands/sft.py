"""`duet-train sft`: supervised fine-tuning of pairs."""

from collections.abc import Callable
from functools import reduce
from types import SimpleNamespace
from typing import Any

import click

from duet_contract.commands import Integer, Number, option
from duet_training.commands.options import COUNT, MINUTES, PATH, TOKENS, F, Resumable, seed

SIZES = ("released", "small", "tiny")
MIXTURES = ("at-length", "broad", "concluded", "terse")
BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"  # pragma: allowlist secret
_EPILOG = """\b
Exit codes:
    0  done
    1  failed
    2  usage
    3  the time is up; the same command continues
  130  interrupted; the same command continues
"""

STEPS, RATE = Integer(0, 10_000_000), Number(1e-12, 1.0)
role = option(
    "--role", click.Choice(("reasoner", "decoder")), None, "Train only this model [both]."
)
minutes = option("--minutes", MINUTES, "N", "Time limit in minutes.", 1e6)
base = option("--base", PATH, "DIR", "Directory of the base model.", required=True)
annotated = option("--annotated", PATH, "JSONL", "GSM8K training set.", required=True)
generated = option("--generated", Number(0, 1), "SHARE", "Share of generated problems.", 0.45)
rank = option("--rank", Integer(1, 4096), "N", "Rank of the adapter.", 8)
first = option("--first", Integer(0, 1024), "N", "First layer with an adapter.", 6)
compiled = click.option(
    "--compile",
    is_flag=True,
    help="Compile the model with a C++ compiler: a quarter less time a step.",
)
part = option("--part", COUNT, "N", "Questions to draw from each file [all].")
threads = option("--threads", Integer(1, 1024), "N", "Processor threads [PyTorch's default].")
results = option("--results", PATH, "JSON", "File for the figures.")
base_name = option("--base-name", None, "NAME", "Name of the base model on the hub.", BASE)


def _model(name: str, *, steps: int, rate: float, tokens: int) -> Callable[[F], F]:
    """Steps, learning rate and batch of one of the models, with their defaults."""
    options = (
        option(f"--{name}-steps", STEPS, "N", f"Steps of the {name}.", steps),
        option(f"--{name}-rate", RATE, "R", f"Learning rate of the {name}.", rate),
        option(f"--{name}-tokens", TOKENS, "N", f"Tokens per batch of the {name}.", tokens),
    )
    return lambda function: reduce(lambda made, option: option(made), reversed(options), function)


@click.group()
def sft() -> None:
    """Train pairs by supervised fine-tuning."""


@sft.command(cls=Resumable, epilog=_EPILOG, short_help="Train both models from scratch.")
@click.argument("out", type=PATH)
@option("--size", click.Choice(SIZES), None, "Size of the models.", "small")
@role
@option("--reasoner-steps", STEPS, "N", "Steps of the reasoner.", 4000)
@option("--decoder-steps", STEPS, "N", "Steps of the decoder.", 2500)
@option("--reasoner-from", PATH, "DIR", "Copy the reasoner's weights.")
@option("--mixture", click.Choice(MIXTURES), None, "Data mixture.", "broad")
@option("--tokens", TOKENS, "N", "Tokens per batch.", 3072)
@option("--rate", RATE, "R", "Learning rate.", 2e-3)
@seed("initialization and data")
@minutes
@threads
@click.option("--float32", is_flag=True, help="Do not use bfloat16.")
@option("--measure", COUNT, "N", "Only evaluate, on N problems.")
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
@option("--into", PATH, "DIR", "Pack the finished pair and its recipe.")
@role
@rank
@first
@compiled
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
@option("--base", PATH, "DIR", "Base model [the merged model in OUT].")
@part
@option("--generated", Integer(0, 1_000_000), "N", "Number of generated problems of each kind.", 0)
@seed("the drawn questions")
@threads
@option("--tries", COUNT, "N", "Maximum formulas per question.", 1)
@option("--temperature", Number(0.01, 2), "T", "Temperature of all tries but the first.", 0.7)
@results
@option("--formulas", PATH, "ROWS", "Judge the formulas in a file that --rows wrote.")
@option("--rows", PATH, "JSONL", "File for every outcome.")
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
@rank
@first
@compiled
@option("--steps", STEPS, "N", "Number of steps.", 8000)
@option("--rate", RATE, "R", "Learning rate.", 1.5e-3)
@option("--tokens", TOKENS, "N", "Tokens per batch.", 1024)
@seed("initialization and data")
@minutes
@threads
def solutions(**given: Any) -> int:
    """Train an adapter of a base model, in OUT, to write whole solutions in words.

    It is what a pair for private quantities is compared with. The same command continues.
    """
    from duet_training.sft.solution_model import train_solutions

    return train_solutions(SimpleNamespace(**given))
