"""How many devices so many replicas carry, split or not: `python tools/duet_tools/capacity.py --help`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    from duet_tools.ending import end

    return end(_command, "capacity.py", arguments)


def _command() -> click.Command:
    from duet_tools.fleet.command import capacity

    return capacity


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    sys.exit(main())
