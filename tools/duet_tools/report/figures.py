"""The figures as a table: for a README, and for the terminal."""

from duet_contract.terminal import printable
from duet_report import tables
from duet_tools.results.figures import Figure, Results, Summary

_HEADINGS = ("figure", "DUET", "peer", "judged", "target", "met")


def markdown(results: Results) -> str:
    """Return the table for a README, with the facts that its figures depend on below it."""
    return (
        f"{tables.markdown(_HEADINGS, [*map(_row, results.figures)])}\n\n"
        "Median over the repeats, smallest to largest in brackets; ratios are taken repeat "
        f"by repeat. Pair {results.pair}, {results.date}, {results.machine.in_words}.\n"
    )


def terminal(results: Results) -> str:
    """Return the same table for a terminal."""
    title = f"{results.pair} on {results.machine.cpu}"
    return printable(f"{title}\n\n{tables.aligned(_HEADINGS, [*map(_row, results.figures)])}")


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
    """Return three significant digits, never in scientific notation."""
    size = abs(value)
    return f"{value:.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"
