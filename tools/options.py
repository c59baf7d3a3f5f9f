"""What several commands take alike on their command line."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

# A reasoner whose steps cost what real ones do, and signals as long as they get.
MEASURED_PAIR = "smollm2-135m"

F = TypeVar("F", bound=Callable[..., Any])

HELP = {"help_option_names": ["-h", "--help"]}
FILE = click.Path(dir_okay=False, path_type=Path)


class Finite(click.FloatRange):
    """Numbers in a range; "nan", which no bound refuses, is in none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """See `click.ParamType.convert`."""
        if math.isfinite(number := float(super().convert(value, param, ctx))):
            return number
        return self.fail(f"{value} is no finite number", param, ctx)


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
    help="More flags for cloud.serve, in one string.",
)
engine_flags = click.argument("engine_flags", nargs=-1, type=click.UNPROCESSED)
