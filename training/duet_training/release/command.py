"""A command of a plan: what is run, what it leaves, and when that is made again."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Command:
    """`python -m module arguments told`.

    `leaves`: what is there when it is done. `told`: arguments that say where something is, and
    change nothing of what is made. `replaces`: what goes when it is made again, with other
    arguments; empty: it is not made again in the same place. `python`: the interpreter, where it
    is not this one.
    """

    name: str
    module: str
    arguments: tuple[str, ...]
    leaves: Path
    told: tuple[str, ...] = ()
    replaces: tuple[Path, ...] = ()
    python: Path | None = None
