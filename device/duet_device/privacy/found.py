"""What finders find."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

NAME = "NAME"
NUMBER = "NUMBER"


@dataclass(frozen=True)
class Found:
    """Something to be replaced."""

    start: int
    """Index of its first character."""
    end: int
    """`text[start:end]` is replaced."""
    label: str
    """What it is: `NAME`, `EMAIL`, ..."""
    entity: str | None = None
    """Whom or what it names, where that is written in several ways; None: its characters alone."""


Finder = Callable[[str], Iterable[Found]]
