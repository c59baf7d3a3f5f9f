"""A report's cells as rows of words: the same for the terminal, Markdown and the page."""

from collections.abc import Callable

from tools.report.model import CellReport, Interval, Metric, Report

_Value = Callable[[CellReport], str]

HEADINGS = (
    "mode", "link", "load", "answered", "accuracy (95%)", "large tokens", "answer tokens",
    "first answer p50 / p95", "end to end p50 / p95 / p99", "wire up / down", "answers/s",
    "large tokens/s",
)  # fmt: skip
_GOODPUT, _COST = "goodput/s", "cost per correct"
_IPT = "IPT"


def headings(report: Report) -> tuple[str, ...]:
    """The columns; those that nothing was asked for are left out."""
    return HEADINGS + tuple(name for name, _ in _more(report))


def rows(report: Report) -> list[tuple[str, ...]]:
    """A row a cell."""
    return [_row(cell, report) for cell in report.cells]


def facts(report: Report) -> list[str]:
    """Lines that say where and how it was measured."""
    machine = report.machine
    where = f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib:g} GiB"
    if machine.accelerator:
        where += f", {machine.accelerator}"
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    settings = report.settings
    lines = [
        f"Pair {report.pair}, {settings.questions} questions of {settings.data}, seed "
        f"{settings.seed}, temperature {settings.temperature:g}, {report.date}, commit "
        f"{report.commit or 'unknown'}.",
        f"{where}, {versions}.",
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


def _row(cell: CellReport, report: Report) -> tuple[str, ...]:
    failures = ", ".join(f"{count} {status}" for status, count in cell.failures.items())
    budget = f" @{cell.cell.budget}" if cell.cell.budget else ""
    return (
        cell.cell.mode + budget,
        cell.cell.link,
        cell.cell.load,
        f"{cell.answered} of {cell.asked}"
        + (f" ({failures})" if failures else "")
        + ("" if cell.complete else ", partial"),
        share(cell.accuracy),
        _metric(cell, "large_tokens"),
        _metric(cell, "answer_tokens"),
        _seconds(cell, "first_answer_ms", ("p50", "p95")),
        _seconds(cell, "total_ms", ("p50", "p95", "p99")),
        f"{_metric(cell, 'wire_up')} / {_metric(cell, 'wire_down')} B",
        number(cell.answers_per_s),
        number(cell.large_tokens_per_s),
        *(value(cell) for _, value in _more(report)),
    )


def _more(report: Report) -> list[tuple[str, _Value]]:
    found: list[tuple[str, _Value]] = []
    if any(cell.ipt is not None for cell in report.cells):
        found.append((_IPT, lambda cell: _maybe(cell.ipt)))
    if report.objectives:
        found.append((_GOODPUT, lambda cell: _maybe(cell.goodput_per_s)))
    if report.prices.given:
        found.append((_COST, lambda cell: _maybe(cell.cost_per_correct)))
    return found


def _maybe(value: float | None) -> str:
    return "" if value is None else number(value)


def _metric(cell: CellReport, metric: Metric) -> str:
    return number(cell.metrics[metric].mean) if metric in cell.metrics else ""


def _seconds(cell: CellReport, metric: Metric, which: tuple[str, ...]) -> str:
    if metric not in cell.metrics:
        return ""
    values = (getattr(cell.metrics[metric], name) / 1e3 for name in which)
    return " / ".join(f"{value:.2f}" for value in values) + " s"
