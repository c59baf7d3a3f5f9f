"""Measures the split against what one would run instead: `python tools/duet_tools/bench_split.py --help`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

NAME = "bench_split.py"


def main(arguments: list[str] | None = None) -> int:
    """Runs the bench and returns its exit code.

    0 measured, 1 something failed and what was measured before is kept, 2 usage, 130 interrupted,
    141 the reader of stdout has gone.
    """
    from duet_tools.ending import end

    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["figures"]:
        return end(_figures, f"{NAME} figures", given[1:])
    return end(_report, NAME, given)


def _figures() -> click.Command:
    from duet_tools.bench.figures import figures

    return figures


def _report() -> click.Command:
    from duet_tools.split.command import report

    return report


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    sys.exit(main())
