"""The report's plots: what each shows."""

import numpy as np

from duet_report.plots import Panel, Plot, PlotSeries, Span
from duet_tools.report.columns import mode
from duet_tools.report.verdicts import series
from duet_tools.results.report import CellReport, LinkFacts, Report

_WAITING = {"waits", "asks and waits", "queues", "connects"}
_SIZE = (5.0, 3.4)


def plots(report: Report) -> list[Plot]:
    """Describe every plot; those with too few points are left out when they are drawn."""
    return [_accuracy(report), _latency(report), _times(report), _tokens(report),
            _throughput(report), _waterfall(report)]  # fmt: skip


def _accuracy(report: Report) -> Plot:
    found = [
        PlotSeries(
            name, [cell.metrics["large_tokens"].mean], [100 * cell.accuracy.value], number,
            low=[100 * cell.accuracy.low], high=[100 * cell.accuracy.high],
        )
        for number, (name, cell) in enumerate(_one_of_each(report).items())
        if cell.accuracy
    ]  # fmt: skip
    panel = Panel("large-model tokens per question (mean)", "accuracy (%)", found, y_range=(0, 104))
    caption = "Up and to the left is better. Bars: 95% intervals (Wilson)."
    return Plot(
        "accuracy", "Accuracy against tokens of the large model", caption, [panel], 1, _SIZE
    )


def _latency(report: Report) -> Plot:
    links = {link.name: link for link in report.links}
    load = _common_load(report)
    shown = [c for c in report.cells if c.cell.load == load and "total_ms" in c.metrics]
    shown = [cell for cell in shown if cell.cell.mode != "device-alone"]
    names = sorted({cell.cell.link for cell in shown}, key=lambda name: links[name].rtt_ms)
    found = []
    for number, name in enumerate(_names(report)):
        cells = [cell for cell in shown if mode(cell) == name]
        if cells:
            times = [cell.metrics["total_ms"].p50 / 1e3 for cell in cells]
            rows = [names.index(cell.cell.link) for cell in cells]
            found.append(PlotSeries(name, times, rows, number))
    panel = Panel(
        "end to end, median (s)", series=found, rows=[_link(links[name]) for name in names],
        x_from_zero=True,
    )  # fmt: skip
    caption = f"{load}. Left is better. Links from the shortest round trip to the longest."
    size = (_SIZE[0], 1.6 + 0.32 * len(names))
    return Plot("latency", "Latency by link", caption, [panel] if len(names) > 1 else [], 1, size)


def _times(report: Report) -> Plot:
    """Return shares of questions answered within a time: the slow ones are seen, too."""
    return _distribution(
        report, "total_ms", 1e-3, "times", "Distribution of end-to-end times",
        "end to end (s)", "Left is better.",
    )  # fmt: skip


def _tokens(report: Report) -> Plot:
    return _distribution(
        report, "large_tokens", 1.0, "tokens", "Distribution of large-model tokens",
        "large-model tokens per question", "Left is cheaper.",
    )  # fmt: skip


def _distribution(
    report: Report, metric: str, scale: float, name: str, title: str, x: str, note: str
) -> Plot:
    """Return shares of questions up to a value, a line for each mode."""
    found = []
    for number, (label, cell) in enumerate(_one_of_each(report).items()):
        values = series(cell, metric) * scale
        values = np.sort(values[~np.isnan(values)])
        if len(values) > 1:
            # Of all that were asked: a line that ends below 100% shows failures.
            shares = 100 * np.arange(1, len(values) + 1) / cell.asked
            found.append(PlotSeries(label, values.tolist(), shares.tolist(), number, look="line"))
    where = next((c.cell.link for c in report.cells if c.cell.mode != "device-alone"), "none")
    caption = f"Link {where}. {note}"
    panel = Panel(x, "questions (%)", found, y_range=(0, 104), x_from_zero=True)
    return Plot(name, title, caption, [panel], 1, _SIZE)


def _throughput(report: Report) -> Plot:
    lines: dict[str, list[CellReport]] = {}
    for cell in report.cells:
        if cell.cell.streams and cell.answered and cell.large_tokens_per_s:
            lines.setdefault(f"{mode(cell)}, {cell.cell.link}", []).append(cell)
    several = {name: cells for name, cells in lines.items() if len(cells) > 1}
    streams = sorted({cell.cell.streams or 0 for cells in several.values() for cell in cells})
    found = [
        PlotSeries(
            name, [cell.cell.streams or 0 for cell in cells],
            [cell.large_tokens_per_s for cell in cells], number, look="line and points",
        )
        for number, (name, cells) in enumerate(several.items())
    ]  # fmt: skip
    y = "large-model tokens per second"
    panel = Panel("questions at once", y, found, y_range=(0, None), x_ticks=streams)
    caption = "With one question at once the cloud waits while the device answers."
    return Plot("throughput", "Throughput against concurrency", caption, [panel], 1, _SIZE)


def _waterfall(report: Report) -> Plot:
    found = report.waterfall
    spans: list[Span] = []
    if found:
        kinds = list(dict.fromkeys(span[0] for lane in found.lanes for span in lane.spans))
        coloured = [kind for kind in kinds if kind not in _WAITING]
        for row, lane in enumerate(found.lanes):
            for kind, begin, end in lane.spans:
                waits = kind in _WAITING
                label, colour = ("waits", None) if waits else (kind, coloured.index(kind))
                spans.append(Span(row, begin / 1e3, end / 1e3, label, colour))
    rows = [lane.name for lane in found.lanes] if found else []
    caption = (
        f"The question of median latency of {found.cell if found else ''}. The cloud's times are "
        "placed by the link's round trip."
    )
    panel = Panel("time since the question (s)", spans=spans, rows=rows)
    return Plot("waterfall", "One question's way", caption, [panel], 1, (_SIZE[0], 2.8))


def _names(report: Report) -> list[str]:
    return list(dict.fromkeys(map(mode, report.cells)))


def _one_of_each(report: Report) -> dict[str, CellReport]:
    """Return the first cell of each mode and budget: link and load do not change the answers."""
    found: dict[str, CellReport] = {}
    for cell in report.cells:
        if cell.answered:
            found.setdefault(mode(cell), cell)
    return found


def _common_load(report: Report) -> str:
    """Return the load that most cells have."""
    loads = [cell.cell.load for cell in report.cells if cell.cell.mode != "device-alone"]
    return max(loads, key=loads.count) if loads else ""


def _link(link: LinkFacts) -> str:
    rate = f", {link.down_bit_s / 1e6:g} Mbit/s" if link.down_bit_s else ""
    return f"{link.name} ({link.rtt_ms:g} ms{rate})"
