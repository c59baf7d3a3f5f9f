"""The report's plots: what each shows."""

import numpy as np

from duet_report.plots import Panel, Plot, PlotSeries, Span
from duet_tools.report.columns import mode
from duet_tools.report.verdicts import series
from duet_tools.results.report import ConditionReport, LinkFacts, Report

_WAITING = {"waits", "asks and waits", "queues", "connects"}
_SIZE = (5.0, 3.4)


def plots(report: Report) -> list[Plot]:
    """Describe every plot; those with too few points are left out when they are drawn."""
    return [_accuracy(report), _latency(report), _times(report), _tokens(report),
            _throughput(report), _waterfall(report)]  # fmt: skip


def _accuracy(report: Report) -> Plot:
    found = [
        PlotSeries(
            name, [measured.metrics["large_tokens"].mean], [100 * measured.accuracy.value], number,
            low=[100 * measured.accuracy.low], high=[100 * measured.accuracy.high],
        )
        for number, (name, measured) in enumerate(_one_of_each(report).items())
        if measured.accuracy
    ]  # fmt: skip
    panel = Panel("large-model tokens per question (mean)", "accuracy (%)", found, y_range=(0, 104))
    caption = "Up and to the left is better. Bars: 95% intervals (Wilson)."
    return Plot(
        "accuracy", "Accuracy against tokens of the large model", caption, [panel], 1, _SIZE
    )


def _latency(report: Report) -> Plot:
    links = {link.name: link for link in report.links}
    load = _common_load(report)
    shown = [c for c in report.conditions if c.condition.load == load and "total_ms" in c.metrics]
    shown = [measured for measured in shown if measured.condition.mode != "device-alone"]
    names = sorted(
        {measured.condition.link for measured in shown}, key=lambda name: links[name].rtt_ms
    )
    found = []
    for number, name in enumerate(_names(report)):
        conditions = [measured for measured in shown if mode(measured) == name]
        if conditions:
            times = [measured.metrics["total_ms"].p50 / 1e3 for measured in conditions]
            rows = [names.index(measured.condition.link) for measured in conditions]
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
    for number, (label, measured) in enumerate(_one_of_each(report).items()):
        values = series(measured, metric) * scale
        values = np.sort(values[~np.isnan(values)])
        if len(values) > 1:
            # Of all that were asked: a line that ends below 100% shows failures.
            shares = 100 * np.arange(1, len(values) + 1) / measured.asked
            found.append(PlotSeries(label, values.tolist(), shares.tolist(), number, look="line"))
    where = next(
        (c.condition.link for c in report.conditions if c.condition.mode != "device-alone"), "none"
    )
    caption = f"Link {where}. {note}"
    panel = Panel(x, "questions (%)", found, y_range=(0, 104), x_from_zero=True)
    return Plot(name, title, caption, [panel], 1, _SIZE)


def _throughput(report: Report) -> Plot:
    lines: dict[str, list[ConditionReport]] = {}
    for measured in report.conditions:
        if measured.condition.streams and measured.answered and measured.large_tokens_per_s:
            lines.setdefault(f"{mode(measured)}, {measured.condition.link}", []).append(measured)
    several = {name: conditions for name, conditions in lines.items() if len(conditions) > 1}
    streams = sorted(
        {
            measured.condition.streams or 0
            for conditions in several.values()
            for measured in conditions
        }
    )
    found = [
        PlotSeries(
            name, [measured.condition.streams or 0 for measured in conditions],
            [measured.large_tokens_per_s for measured in conditions], number, look="line and points",
        )
        for number, (name, conditions) in enumerate(several.items())
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
        f"The question of median latency of {found.condition if found else ''}. The cloud's times are "
        "placed by the link's round trip."
    )
    panel = Panel("time since the question (s)", spans=spans, rows=rows)
    return Plot("waterfall", "One question's way", caption, [panel], 1, (_SIZE[0], 2.8))


def _names(report: Report) -> list[str]:
    return list(dict.fromkeys(map(mode, report.conditions)))


def _one_of_each(report: Report) -> dict[str, ConditionReport]:
    """Return the first condition of each mode and budget: link and load do not change the answers."""
    found: dict[str, ConditionReport] = {}
    for measured in report.conditions:
        if measured.answered:
            found.setdefault(mode(measured), measured)
    return found


def _common_load(report: Report) -> str:
    """Return the load that most conditions have."""
    loads = [
        measured.condition.load
        for measured in report.conditions
        if measured.condition.mode != "device-alone"
    ]
    return max(loads, key=loads.count) if loads else ""


def _link(link: LinkFacts) -> str:
    rate = f", {link.down_bit_s / 1e6:g} Mbit/s" if link.down_bit_s else ""
    return f"{link.name} ({link.rtt_ms:g} ms{rate})"
