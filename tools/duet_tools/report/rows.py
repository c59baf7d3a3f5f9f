"""A report's cells as rows of words: the same for the terminal, Markdown and the page."""

from collections.abc import Callable

from duet_tools.results.report import CellReport, Interval, Metric, Report

_Value = Callable[[CellReport], str]

HEADINGS = (
    "mode", "link", "load", "answered", "accuracy (95%)", "large tokens", "answer tokens",
    "first answer p50 / p90 / p95", "end to end p50 / p90 / p95 / p99", "wire up / down",
    "answers/s", "large tokens/s",
)  # fmt: skip
_GOODPUT, _COST = "goodput/s", "cost per correct"
_IPT, _JOULES = "IPT", "joules a question"


def headings(report: Report) -> tuple[str, ...]:
    """The columns; those that nothing was asked for are left out."""
    return HEADINGS + tuple(name for name, _ in _more(report))


def rows(report: Report) -> list[tuple[str, ...]]:
    """A row a cell."""
    return [_row(cell, report) for cell in report.cells]


def facts(report: Report) -> list[str]:
    """Lines that say where and how it was measured."""
    settings = report.settings
    lines = [
        f"Pair {report.pair}, {settings.questions} questions of {settings.data}, seed "
        f"{settings.seed}, temperature {settings.temperature:g}, {report.date}, commit "
        f"{report.commit or 'unknown'}.",
        f"{report.machine.in_words}.",
        f"Measured with `{report.command}`.",
    ]
    if report.handshake:
        kind = "TLS" if settings.tls else "plaintext"
        lines.append(
            f"A {kind} connection that asks nothing costs {report.handshake.up} B up and "
            f"{report.handshake.down} B down; it is part of every question's wire bytes."
        )
    return lines


def metric_rows(cell: CellReport) -> list[tuple[str, ...]]:
    """All metrics of a cell: name, count, mean, percentiles."""
    return [
        (name, str(p.count), *map(number, (p.mean, p.p50, p.p90, p.p95, p.p99)))
        for name, p in cell.metrics.items()
    ]


def number(value: float) -> str:
    """Three significant digits, with an SI prefix where it would be long."""
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if abs(value) >= size:
            return f"{number(value / size)}{prefix}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def share(interval: Interval | None) -> str:
    """A share with its interval, in percent."""
    if interval is None:
        return "not told"
    return f"{interval.value:.0%} ({interval.low:.0%} to {interval.high:.0%})"


def mode(cell: CellReport) -> str:
    """The mode, and its budget where it has one."""
    return cell.cell.mode + (f" @{cell.cell.budget}" if cell.cell.budget else "")


def metric(cell: CellReport, name: Metric) -> str:
    """A metric's mean; empty where the cell has none."""
    return number(cell.metrics[name].mean) if name in cell.metrics else ""


def seconds(cell: CellReport, name: Metric, which: tuple[str, ...]) -> str:
    """Some of a metric's percentiles, in seconds; empty where the cell has none."""
    if name not in cell.metrics:
        return ""
    values = (getattr(cell.metrics[name], each) / 1e3 for each in which)
    return " / ".join(map(short, values)) + " s"


def short(seconds: float) -> str:
    """Seconds as people read them, milliseconds where they matter."""
    return f"{seconds:.2f}" if seconds >= 0.1 else f"{seconds:.3f}"


def answered(cell: CellReport) -> str:
    """How many of the questions were answered, and what became of the others."""
    failures = ", ".join(f"{count} {status}" for status, count in cell.failures.items())
    return (
        f"{cell.answered} of {cell.asked}"
        + (f" ({failures})" if failures else "")
        + ("" if cell.complete else ", partial")
    )


def _row(cell: CellReport, report: Report) -> tuple[str, ...]:
    return (
        mode(cell),
        cell.cell.link,
        cell.cell.load,
        answered(cell),
        share(cell.accuracy),
        metric(cell, "large_tokens"),
        metric(cell, "answer_tokens"),
        seconds(cell, "first_answer_ms", ("p50", "p90", "p95")),
        seconds(cell, "total_ms", ("p50", "p90", "p95", "p99")),
        f"{metric(cell, 'wire_up')} / {metric(cell, 'wire_down')} B",
        number(cell.answers_per_s),
        number(cell.large_tokens_per_s),
        *(value(cell) for _, value in _more(report)),
    )


def _more(report: Report) -> list[tuple[str, _Value]]:
    found: list[tuple[str, _Value]] = []
    if any(cell.ipt is not None for cell in report.cells):
        found.append((_IPT, lambda cell: _maybe(cell.ipt)))
    if any(cell.joules for cell in report.cells):
        found.append((_JOULES, lambda cell: _maybe(_joules(cell))))
    if report.objectives:
        found.append((_GOODPUT, lambda cell: _maybe(cell.goodput_per_s)))
    if report.prices.given:
        found.append((_COST, lambda cell: _maybe(cell.cost_per_correct)))
    return found


def _maybe(value: float | None) -> str:
    return "" if value is None else number(value)


def _joules(cell: CellReport) -> float | None:
    """Of every source that could be read, while the load was on."""
    # RAPL's psys holds the packages, too.
    found = [value for name, value in cell.joules.items() if name != "psys"]
    return sum(found) / cell.asked if found and cell.asked else None
