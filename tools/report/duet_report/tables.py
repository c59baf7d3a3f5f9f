"""Tables as text: Markdown, and aligned columns for a terminal."""

from collections.abc import Sequence

from tabulate import tabulate

Row = Sequence[str]


def markdown(head: Row, rows: Sequence[Row]) -> str:
    """Write a Markdown table; empty without rows.

    Examples:
        >>> print(markdown(["mode", "tokens"], [["duet", "16"]]))
        | mode | tokens |
        | --- | --- |
        | duet | 16 |
    """
    if not rows:
        return ""
    # tabulate's own Markdown pads every cell to the longest of its column: one changed cell would
    # change every line, and lines of long cells would be a screen long.
    lines = [map(_cell, row) for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def aligned(head: Row, rows: Sequence[Row]) -> str:
    """Write a table for a terminal; the first column is aligned left, the others right."""
    alignment = ["left", *["right"] * (len(head) - 1)]
    return str(tabulate(rows, head, "simple", disable_numparse=True, colalign=alignment))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
