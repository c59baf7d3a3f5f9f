"""The report's plots: what each shows."""

from matplotlib.figure import Figure

from duet_tools.report.svg import (
    GRID,
    INK,
    MARKERS,
    Plot,
    colour,
    legend,
    name_links,
    plain_ticks,
    plot,
    style,
)
from duet_tools.results.report import CellReport, Report


def plots(report: Report) -> list[Plot]:
    """Every plot that the report has enough figures for."""
    with style():
        drawn = [draw(report) for draw in (_accuracy, _waterfall, _latency, _bytes, _throughput)]
    return [each for each in drawn if each]


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
                marker=MARKERS[number % len(MARKERS)],
                color=colour(number),
                linestyle="none",
                capsize=3,
                label=_name(cell),
            )
        axes.set_xlabel("large-model tokens a question (mean)")
        axes.set_ylabel("accuracy, %")
        # Room for marks that lie on an axis.
        axes.set_xlim(left=-0.04 * axes.get_xlim()[1])
        axes.set_ylim(-4, 104)
        legend(figure, axes)

    caption = "Up and to the left is better. Bars: 95% intervals (Wilson)."
    return plot("Accuracy against tokens of the large model", caption, draw, "accuracy")


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
                look = GRID if kind in waiting else colour(coloured.index(kind))
                bars = axes.barh(row, (end - begin) / 1e3, height, begin / 1e3, color=look)
                bars[0].set_label(kind if kind not in waiting else "waits")
        axes.set_yticks(range(len(found.lanes)), [lane.name for lane in found.lanes])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("seconds from when it was asked")
        legend(figure, axes)

    caption = f"The question of median latency of {found.cell}. Where the cloud's lane lies follows"
    caption += " from the link's round trip."
    return plot("One question's way", caption, draw, "waterfall", height=3.6)


def _latency(report: Report) -> Plot | None:
    links = {link.name: link for link in report.links}
    load = _common_load(report)
    series: dict[str, list[CellReport]] = {}
    for cell in report.cells:
        timed = cell.cell.load == load and "total_ms" in cell.metrics
        if cell.cell.mode != "device-alone" and timed:
            series.setdefault(_name(cell), []).append(cell)
    shown = {cell.cell.link for cells in series.values() for cell in cells}
    if len(shown) < 2:
        return None

    def draw(figure: Figure) -> None:
        by_rtt, by_rate = figure.subplots(2, 1, sharey=True)
        names = _series_names(report)
        for name, cells in series.items():
            number = names.index(name)
            look = {"color": colour(number), "marker": MARKERS[number % len(MARKERS)]}
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
        plain_ticks(by_rtt, [0, 10, 100, 1000])
        plain_ticks(by_rate, [1, 10, 100, 1000])
        figure.draw_without_rendering()
        name_links(by_rtt, {name: links[name].rtt_ms for name in shown})
        name_links(by_rate, {name: (links[name].down_bit_s or 0) / 1e6 for name in shown})
        legend(figure, by_rtt)

    caption = f"Medians, {load}. The links differ in both at once; the names stand above them."
    return plot("Latency against round-trip time and bandwidth", caption, draw, "latency", 5.6)


def _bytes(report: Report) -> Plot | None:
    costs = report.bytes_per_token
    if not costs:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        names = sorted(costs, key=costs.__getitem__)
        bars = axes.barh(names, [costs[name] for name in names], 0.6, color=colour(0))
        axes.bar_label(bars, [f"{costs[name]:.1f}" for name in names], padding=4, color=INK)
        axes.set_xscale("log")
        axes.set_xlim(1, 4 * max(costs.values()))
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        plain_ticks(axes, [1, 10, 100, 1000])
        axes.set_xlabel("bytes a token, logarithmic")

    caption = "Everything that TCP carries on a connection of its own, medians."
    return plot("Bytes a token by encoding", caption, draw, "bytes", height=2.4)


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
                color=colour(number),
                marker=MARKERS[number % len(MARKERS)],
                label=f"{name}, {cells[0].cell.link}",
            )
        streams = sorted({cell.cell.streams or 0 for cells in longest.values() for cell in cells})
        axes.set_xscale("log", base=2)
        axes.set_xticks(streams, [str(count) for count in streams])
        axes.set_ylim(0, 1.08 * axes.get_ylim()[1])
        axes.set_xlabel("questions at once")
        axes.set_ylabel("large-model tokens a second")
        legend(figure, axes)

    caption = "At one at once the device answers between two questions, and the cloud waits."
    return plot("Throughput against concurrency", caption, draw, "throughput")


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
