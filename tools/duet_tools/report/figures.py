"""The figures as a table: for a README, and for the terminal."""

from rich.table import Table

from duet_tools.progress import plain
from duet_tools.results.figures import Figure, Results, Summary

_HEADINGS = ("figure", "DUET", "peer", "judged", "target", "met")


def markdown(results: Results) -> str:
    """The table for a README, with the facts that its figures depend on below it."""
    rows = [_HEADINGS, *map(_row, results.figures)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|---|---|---|---|---|---|")
    return (
        "\n".join(lines)
        + "\n\nMedian over the repeats, smallest to largest in brackets; ratios are taken repeat "
        f"by repeat. Pair {results.pair}, {results.date}, {results.machine.in_words}.\n"
    )


def console_table(results: Results) -> Table:
    """The same table for a terminal."""
    table = Table(*_HEADINGS, title=plain(f"{results.pair} on {results.machine.cpu}"))
    for figure in results.figures:
        colour = {True: "green", False: "red", None: ""}[figure.met]
        table.add_row(*map(plain, _row(figure)), style=colour)
    return table


def _row(figure: Figure) -> tuple[str, ...]:
    target = figure.target
    return (
        figure.title,
        _cell(figure.subject.summary, figure.unit),
        f"{_cell(figure.peer.summary, figure.unit)}, {figure.peer.name}" if figure.peer else "",
        _cell(figure.judged, figure.judged_unit),
        f"{target.comparison} {target.value:g}" if target else "",
        {True: "yes", False: "no", None: ""}[figure.met],
    )


def _cell(summary: Summary, unit: str) -> str:
    # Targets of ratios are near 1: two digits would round a miss up to them.
    written = _ratio if unit == "ratio" else _number
    low, middle, high = (written(value) for value in (summary.min, summary.median, summary.max))
    word = "" if unit == "ratio" else f" {unit}"
    return f"{middle}{word}" if low == high else f"{middle}{word} ({low} to {high})"


def _ratio(value: float) -> str:
    return f"{value:.3f}"


def _number(value: float) -> str:
    """Three significant digits, never in scientific notation."""
    size = abs(value)
    return f"{value:.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"
