"""Makes tables from what was measured: `python tools/duet_tools/report_tables.py --help`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    from duet_tools.ending import end

    return end(_command, "report_tables.py", arguments)


def _command() -> click.Command:
    from duet_tools.report.readme_tables import tables

    return tables


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    sys.exit(main())
