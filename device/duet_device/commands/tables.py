"""Tables in a terminal, with a bar at the end of a line where there is room for it."""

import shutil
import sys
from collections.abc import Sequence

_LONGEST_BAR = 30


def table(rows: Sequence[Sequence[str]], bars: Sequence[float | None] = ()) -> str:
    """Return rows in columns, the first to the left and all others to the right.

    Args:
        rows: cells of each line, the heads first; as many in each.
        bars: a length for each row, relative to the longest; None for a row without a bar. No bar
            is drawn in a terminal that is too narrow.

    Examples:
        >>> print(table([["day", "answers"], ["today", "12"]]))
        day    answers
        today       12
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        for cells in rows
    ]
    room = min(_LONGEST_BAR, shutil.get_terminal_size().columns - len(lines[0]) - 3)
    most = max((bar for bar in bars if bar is not None), default=0)
    if room < 4 or most <= 0:
        return "\n".join(lines)
    block = "█" if (sys.stdout.encoding or "").lower().startswith("utf") else "#"
    drawn = [block * round(room * max(0, bar or 0) / most) for bar in bars]
    return "\n".join(f"{line}  {bar}".rstrip() for line, bar in zip(lines, drawn, strict=True))
