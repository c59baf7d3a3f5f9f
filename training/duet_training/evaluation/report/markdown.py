"""Tables in Markdown."""

from collections.abc import Sequence


def line(cells: Sequence[str]) -> str:
    """A row."""
    return f"| {' | '.join(cells)} |"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table without a line's end behind it."""
    return "\n".join(line(cells) for cells in (head, ["---"] * len(head), *rows))
