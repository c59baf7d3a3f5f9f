"""What several commands take alike on their command line."""

import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from duet_tools.errors import UsageProblem

# A reasoner whose steps cost what real ones do, and signals as long as they get.
MEASURED_PAIR = "smollm2-135m"

F = TypeVar("F", bound=Callable[..., Any])

HELP = {"help_option_names": ["-h", "--help"]}
FILE = click.Path(dir_okay=False, path_type=Path)
SEED = click.IntRange(0, 2**31)
MOST_PRICE = 1e9
"""Largest price in any currency: products of prices and counts stay finite."""


class Finite(click.FloatRange):
    """Numbers from `least` to `most`; "nan", which no bound refuses, is in no range."""

    def __init__(
        self, least: float, most: float, *, min_open: bool = False, max_open: bool = False
    ) -> None:
        super().__init__(least, most, min_open=min_open, max_open=max_open)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """See `click.ParamType.convert`."""
        if math.isfinite(number := float(super().convert(value, param, ctx))):
            return number
        return self.fail(f"{value} is no finite number", param, ctx)


def flags(text: str, option: str) -> tuple[str, ...]:
    """Splits an option's value into flags, as a shell does.

    Raises:
        UsageProblem: a quotation does not end.
    """
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageProblem(f"{option}: {error}") from error


threads = click.option(
    "--threads", type=click.IntRange(1, 512), help="Decoder threads [the device's own]."
)


def pair(default: str) -> Callable[[F], F]:
    """`--pair`, with a default of the command's own."""
    return click.option(
        "--pair", default=default, show_default=True, help="Pair, by name or directory."
    )


service_flags = click.option(
    "--service-flags",
    default="",
    metavar="FLAGS",
    help="More flags for duet_cloud.serve, in one string.",
)
engine_flags = click.argument("engine_flags", nargs=-1, type=click.UNPROCESSED)
