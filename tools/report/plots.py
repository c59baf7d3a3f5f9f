"""The report's plots as SVG that takes its colours from the page, so that light and dark work.

matplotlib draws with stand-in colours, which become CSS variables. Each plot is as wide as a phone
shows without making its letters too small; wider screens put two side by side.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from tools.report.model import CellReport, Report

mpl.use("svg")

_INK, _GRID = "#0a0b0c", "#0a0b0d"
_SERIES = tuple(f"#0a0c{number:02x}" for number in range(16, 24))
_VARIABLES = {
    _INK: "var(--ink)",
    _GRID: "var(--grid)",
    **{colour: f"var(--series-{number})" for number, colour in enumerate(_SERIES)},
}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 11.5,
    "text.color": _INK,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "grid.color": _GRID,
    "legend.frameon": False,
    "savefig.facecolor": "none",
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "lines.linewidth": 2,
    "lines.markersize": 7,
}
_MARKERS = "osD^vPX*"
# Between two slanted names.
_NAME_PIXELS = 12.0
_WIDTH = 4.5
# That of SVG, so that pixels are points.
_DPI = 72
# That two columns of a legend hold.
_LEGEND_CHARACTERS = 38


@dataclass(frozen=True)
class Plot:
    """A plot. `caption`: what it shows and how to read it; also for who cannot see it."""

    title: str
    caption: str
    svg: str


def plots(report: Report) -> list[Plot]:
    """Every plot that the report has enough figures for."""
    with mpl.rc_context(dict(_STYLE)):
        drawn = [draw(report) for draw in (_accuracy, _waterfall, _latency, _bytes, _throughput)]
    return [plot for plot in drawn if plot]


def _accuracy(report: Report) -> Plot | None:
    cells = [cell for cell in _one_a_kind(report) if cell.accuracy]
    if not cells:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        names = _series_names(report)
        for cell in cells:
            assert cell.accuracy
            point = cell.accuracy
            tokens = cell.metrics["large_tokens"].mean
            number = names.index(_name(cell))
            axes.errorbar(
                [tokens],
                [100 * point.value],
                [[100 * (point.value - point.low)], [100 * (point.high - point.value)]],
                marker=_MARKERS[number % len(_MARKERS)],
                color=_colour(number),
                linestyle="none",
                capsize=3,
                label=_name(cell),
            )
        axes.set_xlabel("large-model tokens a question (mean)")
        axes.set_ylabel("accuracy, %")
        # Room for marks that lie on an axis.
        axes.set_xlim(left=-0.04 * axes.get_xlim()[1])
        axes.set_ylim(-4, 104)
        _legend(figure, axes)

    caption = "Up and to the left is better. Bars: 95% intervals (Wilson)."
    return _plot("Accuracy against tokens of the large model", caption, draw, "accuracy")


def _waterfall(report: Report) -> Plot | None:
    found = report.waterfall
    if not found:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        kinds = list(dict.fromkeys(span[0] for lane in found.lanes for span in lane.spans))
        # What only waits is drawn in the colour of the lines.
        waiting = {"waits", "asks and waits", "queues", "connects"}
        coloured = [kind for kind in kinds if kind not in waiting]
        height = 0.62
        for row, lane in enumerate(found.lanes):
            for kind, begin, end in lane.spans:
                colour = _GRID if kind in waiting else _colour(coloured.index(kind))
                bars = axes.barh(row, (end - begin) / 1e3, height, begin / 1e3, color=colour)
                bars[0].set_label(kind if kind not in waiting else "waits")
        axes.set_yticks(range(len(found.lanes)), [lane.name for lane in found.lanes])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("seconds from when it was asked")
        _legend(figure, axes)

    caption = f"The question of median latency of {found.cell}. Where the cloud's lane lies follows"
    caption += " from the link's round trip."
    return _plot("One question's way", caption, draw, "waterfall", height=3.6)


def _latency(report: Report) -> Plot | None:
    links = {link.name: link for link in report.links}
    load = _common_load(report)
    series: dict[str, list[CellReport]] = {}
    for cell in report.cells:
        if cell.cell.mode != "device-alone" and cell.cell.load == load and cell.answered:
            series.setdefault(_name(cell), []).append(cell)
    shown = {cell.cell.link for cells in series.values() for cell in cells}
    if len(shown) < 2:
        return None

    def draw(figure: Figure) -> None:
        by_rtt, by_rate = figure.subplots(2, 1, sharey=True)
        names = _series_names(report)
        for name, cells in series.items():
            number = names.index(name)
            look = {"color": _colour(number), "marker": _MARKERS[number % len(_MARKERS)]}
            ordered = sorted(cells, key=lambda cell: links[cell.cell.link].rtt_ms)
            by_rtt.plot(
                [links[cell.cell.link].rtt_ms for cell in ordered],
                [cell.metrics["total_ms"].p50 / 1e3 for cell in ordered],
                label=name,
                **look,
            )
            limited = [cell for cell in cells if links[cell.cell.link].down_bit_s]
            by_rate.plot(
                [(links[cell.cell.link].down_bit_s or 0) / 1e6 for cell in limited],
                [cell.metrics["total_ms"].p50 / 1e3 for cell in limited],
                linestyle="none",
                **look,
            )
        for axes in (by_rtt, by_rate):
            axes.set_ylim(0, 1.08 * axes.get_ylim()[1])
            axes.set_ylabel("end to end, s")
        by_rtt.set_xscale("symlog", linthresh=10, linscale=0.4)
        by_rtt.set_xlim(0, 1.3 * max(links[name].rtt_ms for name in shown) + 1)
        by_rtt.set_xlabel("round-trip time, ms")
        by_rate.set_xscale("log")
        by_rate.set_xlabel("bandwidth down, Mbit/s")
        _plain_ticks(by_rtt, [0, 10, 100, 1000])
        _plain_ticks(by_rate, [1, 10, 100, 1000])
        figure.draw_without_rendering()
        _name_links(by_rtt, {name: links[name].rtt_ms for name in shown})
        _name_links(by_rate, {name: (links[name].down_bit_s or 0) / 1e6 for name in shown})
        _legend(figure, by_rtt)

    caption = f"Medians, {load}. The links differ in both at once; the names stand above them."
    return _plot("Latency against round-trip time and bandwidth", caption, draw, "latency", 5.6)


def _bytes(report: Report) -> Plot | None:
    costs = report.bytes_per_token
    if not costs:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        names = sorted(costs, key=costs.__getitem__)
        bars = axes.barh(names, [costs[name] for name in names], 0.6, color=_colour(0))
        axes.bar_label(bars, [f"{costs[name]:.1f}" for name in names], padding=4, color=_INK)
        axes.set_xscale("log")
        axes.set_xlim(1, 4 * max(costs.values()))
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        _plain_ticks(axes, [1, 10, 100, 1000])
        axes.set_xlabel("bytes a token, logarithmic")

    caption = "Everything that TCP carries on a connection of its own, medians."
    return _plot("Bytes a token by encoding", caption, draw, "bytes", height=2.4)


def _throughput(report: Report) -> Plot | None:
    series: dict[tuple[str, str], list[CellReport]] = {}
    for cell in report.cells:
        if cell.cell.streams and cell.answered and cell.large_tokens_per_s:
            series.setdefault((_name(cell), cell.cell.link), []).append(cell)
    longest: dict[str, list[CellReport]] = {}
    for (name, _), cells in series.items():
        if len(cells) > max(1, len(longest.get(name, ()))):
            longest[name] = cells
    if not longest:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        names = _series_names(report)
        for name, cells in longest.items():
            number = names.index(name)
            axes.plot(
                [cell.cell.streams or 0 for cell in cells],
                [cell.large_tokens_per_s for cell in cells],
                color=_colour(number),
                marker=_MARKERS[number % len(_MARKERS)],
                label=f"{name}, {cells[0].cell.link}",
            )
        streams = sorted({cell.cell.streams or 0 for cells in longest.values() for cell in cells})
        axes.set_xscale("log", base=2)
        axes.set_xticks(streams, [str(count) for count in streams])
        axes.set_ylim(0, 1.08 * axes.get_ylim()[1])
        axes.set_xlabel("questions at once")
        axes.set_ylabel("large-model tokens a second")
        _legend(figure, axes)

    caption = "At one at once the device answers between two questions, and the cloud waits."
    return _plot("Throughput against concurrency", caption, draw, "throughput")


def _plot(
    title: str, caption: str, draw: Callable[[Figure], None], name: str, height: float = 3.8
) -> Plot:
    with mpl.rc_context({"svg.hashsalt": name}):
        figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, layout="constrained")
        draw(figure)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return Plot(title, caption, _for_page(out.getvalue(), name, f"{title}. {caption}"))


def _for_page(svg: str, name: str, label: str) -> str:
    """The SVG element alone, in the page's colours, with ids that no other plot has."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r'^<svg ([^>]*?)(?:width|height)="[^"]*"', r"<svg \1", svg)
    svg = re.sub(r'^(<svg [^>]*?)(?:width|height)="[^"]*"', r"\1", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    from xml.sax.saxutils import quoteattr

    return svg.replace("<svg ", f"<svg role='img' aria-label={quoteattr(label)} ", 1).strip()


def _name(cell: CellReport) -> str:
    budget = f", budget {cell.cell.budget}" if cell.cell.budget else ""
    return cell.cell.mode + budget


def _series_names(report: Report) -> list[str]:
    return list(dict.fromkeys(_name(cell) for cell in report.cells))


def _one_a_kind(report: Report) -> list[CellReport]:
    """The first cell of each mode and budget: neither link nor load changes what is answered."""
    found: dict[str, CellReport] = {}
    for cell in report.cells:
        if cell.answered:
            found.setdefault(_name(cell), cell)
    return list(found.values())


def _common_load(report: Report) -> str:
    """The load that most cells have."""
    loads = [cell.cell.load for cell in report.cells if cell.cell.mode != "device-alone"]
    return max(loads, key=loads.count) if loads else ""


def _colour(number: int) -> str:
    return _SERIES[number % len(_SERIES)]


def _name_links(axes: Any, places: Mapping[str, float]) -> None:
    """Link names along the top, slanted, and moved apart where links are near each other."""
    free = float("-inf")
    for name, x in sorted(places.items(), key=lambda place: place[1]):
        if x:
            at = axes.transData.transform((x, 0))[0]
            moved = max(at, free)
            free = moved + _NAME_PIXELS
            axes.annotate(
                name, (x, 1), xycoords=("data", "axes fraction"), rotation=45, fontsize=9,
                xytext=(moved - at, 2), textcoords="offset pixels", color=_INK,
            )  # fmt: skip


def _plain_ticks(axes: Any, ticks: Sequence[float]) -> None:
    """Those of `ticks` that lie inside, as plain numbers: 1000 and not ten to the third."""
    low, high = axes.get_xlim()
    inside = [tick for tick in ticks if low <= tick <= high]
    axes.set_xticks(inside, [f"{tick:g}" for tick in inside])
    axes.minorticks_off()
    axes.set_xlim(low, high)


def _legend(figure: Figure, axes: Any) -> None:
    """Below the plot, where it never covers a point; each name once."""
    handles, labels = axes.get_legend_handles_labels()
    named = dict(zip(labels, handles, strict=True))
    columns = 2 if sum(sorted(map(len, named))[-2:]) <= _LEGEND_CHARACTERS else 1
    figure.legend(
        named.values(), named.keys(), loc="outside lower center", ncols=columns, fontsize=10
    )
