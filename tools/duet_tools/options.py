"""Options that several commands share."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from duet_contract.commands import Integer, Number, option
from duet_tools.errors import UsageProblem

# A reasoner whose steps cost what real ones do, and signals as long as they get.
MEASURED_PAIR = "smollm2-135m"

if TYPE_CHECKING:
    # Generic in click's newer versions alone.
    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType

F = TypeVar("F", bound=Callable[..., Any])

EXIT_CODES = """\b
Exit codes:
    0  done
    1  something failed, or what was asked for is stale
    2  usage
  130  interrupted
  141  the reader of stdout is gone
"""
FILE = click.Path(dir_okay=False, path_type=Path)


class _NewFile(click.Path):
    """A file to write: its directory is looked at before anything is measured."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.ParamType`."""
        path = Path(str(super().convert(value, param, ctx)))
        if not path.parent.is_dir():
            self.fail(f"there is no directory {path.parent}", param, ctx)
        return path


NEW_FILE = _NewFile(dir_okay=False)
SEED = Integer(0, 2**31)
MOST_PRICE = 1e9
"""Largest price in any currency: products of prices and counts stay finite."""


def flags(text: str) -> tuple[str, ...]:
    """Split the value of `service_flags` into flags, as a shell does.

    Raises:
        UsageProblem: a quotation does not end.
    """
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageProblem(f"--service-flags: {error}") from error


class Listed(ParamType):
    """A list with commas.

    Args:
        each: the type of a value, or the names that there are.
        kind: what a value is, in messages.
        empty: whether the list may be empty.
        repeats: whether a value may come again; otherwise the second one is dropped.

    Examples:
        >>> Listed(Integer(1, 64), "count").convert("1, 8,8", None, None)
        (1, 8)
    """

    name = "list"

    def __init__(
        self,
        each: ParamType | Sequence[str],
        kind: str,
        *,
        empty: bool = False,
        repeats: bool = False,
    ) -> None:
        self._each, self._kind = each, kind
        self._empty, self._repeats = empty, repeats

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Any, ...]:
        """See `click.ParamType`."""
        if not isinstance(value, str):
            return tuple(value)
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if not parts and not self._empty:
            self.fail(f"no {self._kind} chosen", param, ctx)
        found: list[Any] = []
        for part in parts if self._repeats else dict.fromkeys(parts):
            if isinstance(self._each, click.ParamType):
                found.append(self._each.convert(part, param, ctx))
            elif part in self._each:
                found.append(part)
            else:
                there_are = ", ".join(self._each)
                self.fail(f"no {self._kind} {part!r}; there are: {there_are}", param, ctx)
        return tuple(found)


repeats = option("--repeats", Integer(1, 100), "N", "Number of repeats after one warm-up.", 5)
results_file = option(
    "--out", NEW_FILE, "FILE", "Results file; figures in it that are not measured now stay."
)
threads = option("--threads", Integer(1, 512), "N", "Decoder threads [the device's default].")


def figures(usual: Sequence[str], known: Sequence[str] = ()) -> Callable[[F], F]:
    """`--figures`, of those that are `known`; all of `usual` by default."""
    return option(
        "--figures",
        Listed(known or usual, "figure"),
        "NAME,...",
        "Figures to measure.",
        ",".join(usual),
    )


def seconds(least: float, default: float) -> Callable[[F], F]:
    """`--seconds`, of a run."""
    return option("--seconds", Number(least, 3600), "S", "Length of a run in seconds.", default)


def pair(default: str) -> Callable[[F], F]:
    """`--pair`, with a default of the command's own."""
    return option("--pair", None, "NAME_OR_DIR", "Pair to measure.", default)


service_flags = option(
    "--service-flags", None, "FLAGS", "Further flags of duet-cloud serve, as one string.", ""
)
engine_flags = click.argument("engine_flags", nargs=-1, type=click.UNPROCESSED)
