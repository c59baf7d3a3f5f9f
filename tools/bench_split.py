"""Measures the split against what one would run instead: `python tools/bench_split.py --help`."""

import sys

from tools.bench.figures import figures
from tools.ending import end
from tools.split.command import report

NAME = "bench_split.py"


def main(arguments: list[str] | None = None) -> int:
    """Runs the bench and returns its exit code.

    0 measured, 1 something failed and what was measured before is kept, 2 usage, 130 interrupted.
    """
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["figures"]:
        return end(figures, f"{NAME} figures", given[1:])
    return end(report, NAME, given)


if __name__ == "__main__":
    sys.exit(main())
