"""Options that several commands share."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from duet_contract.commands import Integer, Number
from duet_tools.errors import UsageProblem

# A reasoner whose steps cost what real ones do, and signals as long as they get.
MEASURED_PAIR = "smollm2-135m"

F = TypeVar("F", bound=Callable[..., Any])
N = TypeVar("N", bound=str)

EXIT_CODES = """\b
Exit codes:
    0  done
    1  something failed, or what was asked for is stale
    2  usage
  130  interrupted
  141  the reader of stdout is gone
"""
FILE = click.Path(dir_okay=False, path_type=Path)
SEED = Integer(0, 2**31)
MOST_PRICE = 1e9
"""Largest price in any currency: products of prices and counts stay finite."""


def flags(text: str, option: str) -> tuple[str, ...]:
    """Split an option's value into flags, as a shell does.

    Raises:
        UsageProblem: a quotation does not end.
    """
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageProblem(f"{option}: {error}") from error


def chosen(text: str, known: Sequence[N], kind: str) -> list[N]:
    """Return the names in a list with commas, in the order of `known`.

    Raises:
        UsageProblem: a name is unknown, or the list is empty; `kind` says what they are names of.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        wrong = f"no {kind} {unknown[0]!r}" if unknown else f"no {kind} chosen"
        raise UsageProblem(f"{wrong}; there are: {', '.join(known)}")
    return [name for name in known if name in names]


repeats = click.option(
    "--repeats",
    type=Integer(1, 100),
    default=5,
    metavar="N",
    help="Number of repeats after one warm-up.",
)
results_file = click.option(
    "--out",
    type=FILE,
    metavar="FILE",
    help="Results file; figures in it that are not measured now stay.",
)
threads = click.option(
    "--threads",
    type=Integer(1, 512),
    metavar="N",
    help="Decoder threads [the device's default].",
)


def figures(usual: Sequence[str]) -> Callable[[F], F]:
    """`--figures`; all of `usual` by default."""
    return click.option(
        "--figures", default=",".join(usual), metavar="NAME,...", help="Figures to measure."
    )


def seconds(least: float, default: float) -> Callable[[F], F]:
    """`--seconds`, of a run."""
    return click.option(
        "--seconds",
        type=Number(least, 3600),
        default=default,
        metavar="S",
        help="Length of a run in seconds.",
    )


def pair(default: str) -> Callable[[F], F]:
    """`--pair`, with a default of the command's own."""
    return click.option("--pair", default=default, metavar="NAME_OR_DIR", help="Pair to measure.")


service_flags = click.option(
    "--service-flags",
    default="",
    metavar="FLAGS",
    help="Further flags of duet-cloud serve, as one string.",
)
engine_flags = click.argument("engine_flags", nargs=-1, type=click.UNPROCESSED)
