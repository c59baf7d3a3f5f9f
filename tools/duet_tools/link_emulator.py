"""A link, emulated in front of any TCP service: `python tools/duet_tools/link_emulator.py --help`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    from duet_tools.ending import end

    return end(_command, "link_emulator.py", arguments)


def _command() -> click.Command:
    from duet_tools.link.command import emulate

    return emulate


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    sys.exit(main())
