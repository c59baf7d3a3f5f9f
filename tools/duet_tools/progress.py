"""What rich shows: text as it is, and a progress bar; the command line as results may name it."""

import shlex
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from duet_contract.terminal import printable


def plain(text: str) -> Text:
    r"""Return text as it is: no markup of rich's, and nothing that controls the terminal.

    Args:
        text: of any content: a path, a model's answer, an error.

    Examples:
        >>> plain("o[bold]z\x07").plain
        'o[bold]z\\x07'
    """
    return Text(printable(text))


def progress_bar(console: Console) -> Progress:
    """Return a bar with the present step, progress, elapsed time and remaining time."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    # Drawn seldom: on a small machine drawing takes time from what is measured.
    return Progress(*columns, console=console, refresh_per_second=1)


def public_command() -> str:
    """Return the command line without private parts."""
    return shlex.join(["duet-bench", *map(_public, sys.argv[1:])])


def _public(argument: str) -> str:
    name, equals, value = argument.rpartition("=")
    if argument.startswith("postgresql"):
        return "URL"
    return name + equals + Path(value).name if Path(value).is_absolute() else argument
