"""Plots in one style: panels of series, drawn by matplotlib as SVG that comes out the same each time.

A plot is described by data classes, so that a report says what is shown and this module how. Panels
with fewer than three points are left out: a table says as much.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import quoteattr  # nosec B406

import matplotlib as mpl
import matplotlib.style
from matplotlib.figure import Figure

FEWEST_POINTS = 3
# Okabe and Ito's colours, dark enough for text: distinct for the colour-blind, too.
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b37400", "#56b4e9", "#6f4e9c", "#7a8a00",
)  # fmt: skip
MARKERS = "osD^vPX*<>hp"
INK, _FAINT, GRID = "#1c2127", "#7b858f", "#dde2e7"
"""Of text and of grids, in light pages and plots."""
# What a page calls these colours, so that its dark scheme has its own.
_VARIABLES = {
    INK: "var(--ink)",
    _FAINT: "var(--faint)",
    GRID: "var(--grid)",
    **{colour: f"var(--series-{number})" for number, colour in enumerate(COLOURS)},
}
_STYLE: dict[str, Any] = {
    # Text stays text: files are small and can be searched.
    "svg.fonttype": "none",
    "path.simplify": False,
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
    "font.size": 10,
    "axes.titlesize": 10.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": _FAINT,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.markersize": 5.5,
}
# Characters of labels that fit side by side under an inch of figure.
_LABEL_CHARACTERS = 11
# In an attribute; a label follows a tag.
_COORDINATE = re.compile(r"(?<=[\s\"(])-?\d+\.\d{3,}(?=[\s\"),])")


@dataclass(frozen=True)
class PlotSeries:
    """Points of one label."""

    label: str
    """Name in the legend."""
    x: Sequence[float]
    """Values on the x axis."""
    y: Sequence[float]
    """Values on the y axis; in a panel with rows, numbers of rows."""
    colour: int | None = 0
    """Number of a colour; None: grey, for what others measured."""
    marker: int | None = None
    """Number of a marker; None: that of the colour."""
    low: Sequence[float] | None = None
    """Lower bounds: of a band behind a line, or of error bars."""
    high: Sequence[float] | None = None
    """Upper bounds."""
    look: Literal["points", "line", "line and points", "limit"] = "points"
    """A limit is a dashed grey line, which does not count as points."""
    texts: Sequence[str] = ()
    """A text next to each point."""


@dataclass(frozen=True)
class Span:
    """A horizontal bar of a panel with rows."""

    row: int
    """Number of the row, from the top."""
    begin: float
    """Value of x at which the bar begins."""
    end: float
    """Value of x at which the bar ends."""
    label: str
    """Name in the legend."""
    colour: int | None
    """Number of a colour; None: grey."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    x: str
    """Label of the axis, with its unit."""
    y: str = ""
    """Label of the axis, with its unit."""
    series: Sequence[PlotSeries] = ()
    """Points and lines."""
    spans: Sequence[Span] = ()
    """Horizontal bars."""
    title: str = ""
    """Text above the axes; empty: no text."""
    rows: Sequence[str] = ()
    """Names of rows, from the top; empty: y is a number."""
    y_range: tuple[float, float | None] | None = None
    """Limits of the y axis; None: as the points have it."""
    x_from_zero: bool = False
    """Whether the x axis begins at 0."""
    x_ticks: Sequence[float] = ()
    """Ticks on a logarithmic axis of base 2; empty: a linear axis."""

    @property
    def points(self) -> int:
        """How many points are shown, limits left out."""
        return sum(len(each.x) for each in self.series if each.look != "limit") + len(self.spans)


@dataclass(frozen=True)
class Plot:
    """A figure of one or more panels."""

    name: str
    """Name of its file, and prefix of its ids in a page."""
    title: str
    """Heading of the figure."""
    caption: str
    """What it shows and how to read it; also the text alternative."""
    panels: Sequence[Panel]
    """The panels, row by row."""
    columns: int = 1
    """Panels in a row."""
    size: tuple[float, float] = (5.0, 3.2)
    """Of each panel, in inches."""
    legends: Literal["shared", "each"] = "shared"
    """One legend below all panels, or one to the right of each row's last panel."""

    @property
    def file(self) -> str:
        """Name of its SVG file."""
        return f"{self.name}.svg"


def enough(plots: Iterable[Plot]) -> list[Plot]:
    """Leave out panels with fewer than three points, and plots that have no other panel."""
    found = []
    for plot in plots:
        panels = [panel for panel in plot.panels if panel.points >= FEWEST_POINTS]
        if panels:
            found.append(replace(plot, panels=panels))
    return found


def draw(plot: Plot) -> Figure:
    """Draw a plot; call it within `style`."""
    rows = -(-len(plot.panels) // plot.columns)
    width, height = plot.size
    figure = Figure(figsize=(width * plot.columns, height * rows), dpi=72, layout="constrained")
    grid = figure.subplots(rows, plot.columns, squeeze=False).flat
    places: list[Any] = list(grid)
    for axes, panel in zip(places, plot.panels, strict=False):
        _draw_panel(axes, panel)
    for unused in places[len(plot.panels) :]:
        unused.remove()
    if plot.legends == "shared":
        _legend_below(figure, places[: len(plot.panels)])
    else:
        for axes in places[plot.columns - 1 : len(plot.panels) : plot.columns]:
            axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)
    return figure


def style() -> Any:
    """Context in which figures are made and saved: ours, whatever the user's own is."""
    return mpl.style.context(["default", dict(_STYLE)])


def write_plots(plots: Iterable[Plot], directory: Path) -> list[Plot]:
    """Write each plot that has enough points as SVG on white.

    Files of plots that have too few are removed.

    Returns:
        The plots that were written.
    """
    plots = list(plots)
    written = enough(plots)
    for plot in plots:
        (directory / plot.file).unlink(missing_ok=True)
    for plot in written:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / plot.file).write_text(_svg(plot, background="white"), "utf-8")
    return written


def inline_svg(plot: Plot) -> str:
    """Draw a plot as an SVG element in the page's own colours, with ids of its own."""
    svg = _svg(plot, background="none")
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{plot.name}-", svg)
    svg = re.sub(r'(?<=[\s])(?:width|height)="[\d.]+pt" ?', "", svg, count=2)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    label = quoteattr(f"{plot.title}. {plot.caption}")
    return svg.replace("<svg ", f'<svg role="img" aria-label={label} ', 1).strip()


def _svg(plot: Plot, background: str) -> str:
    with style(), mpl.rc_context({"svg.hashsalt": plot.name, "axes.facecolor": "none"}):
        written = StringIO()
        draw(plot).savefig(
            written, format="svg", facecolor=background, metadata={"Date": None, "Creator": None}
        )
    # To a hundredth of a point: finer differences are invisible, and files are a third smaller.
    return _COORDINATE.sub(lambda found: f"{float(found[0]):.2f}", written.getvalue())


def _draw_panel(axes: Any, panel: Panel) -> None:
    for each in panel.series:
        _draw_series(axes, each, horizontal=bool(panel.rows))
    for span in panel.spans:
        colour = GRID if span.colour is None else _colour(span.colour)
        extent = span.end - span.begin
        axes.barh(span.row, extent, 0.62, span.begin, color=colour, label=span.label)
    axes.set_xlabel(panel.x)
    axes.set_ylabel(panel.y)
    axes.set_title(panel.title, loc="left")
    if panel.x_ticks:
        axes.set_xscale("log", base=2)
        axes.set_xticks(panel.x_ticks, [f"{tick:g}" for tick in panel.x_ticks])
        axes.minorticks_off()
    if panel.x_from_zero:
        axes.set_xlim(left=0)
    if panel.rows:
        axes.set_yticks(range(len(panel.rows)), panel.rows)
        axes.set_ylim(len(panel.rows) - 0.5, -0.5)
        axes.grid(visible=bool(panel.series), axis="y")
    elif panel.y_range:
        axes.set_ylim(*panel.y_range)


def _draw_series(axes: Any, series: PlotSeries, *, horizontal: bool) -> None:
    colour = _FAINT if series.colour is None else _colour(series.colour)
    if series.look == "limit":
        look = {"color": _FAINT, "linewidth": 1, "linestyle": "--", "zorder": 1}
        axes.plot(series.x, series.y, label=series.label, **look)
        return
    marker = "" if series.look == "line" and len(series.x) > 1 else _marker(series)
    look = {"color": colour, "marker": marker, "label": series.label}
    if series.colour is None:
        look["markerfacecolor"] = "none"
    if series.look == "points":
        look["linestyle"] = "none"
    if series.low is None or series.high is None:
        axes.plot(series.x, series.y, **look)
    elif series.look == "points":
        middle = series.x if horizontal else series.y
        below = [max(0.0, value - low) for value, low in zip(middle, series.low, strict=True)]
        above = [max(0.0, high - value) for value, high in zip(middle, series.high, strict=True)]
        errors = {"xerr" if horizontal else "yerr": [below, above]}
        axes.errorbar(series.x, series.y, **errors, capsize=2.5, **look)
    else:
        axes.plot(series.x, series.y, **look)
        axes.fill_between(series.x, series.low, series.high, color=colour, alpha=0.15, linewidth=0)
    for x, y, text in zip(series.x, series.y, series.texts, strict=False):
        axes.annotate(
            text, (x, y), xytext=(5, 3), textcoords="offset points", fontsize=8, color=colour
        )


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _marker(series: PlotSeries) -> str:
    number = series.colour if series.marker is None else series.marker
    return MARKERS[(number or 0) % len(MARKERS)]


def _legend_below(figure: Figure, places: Sequence[Any]) -> None:
    """Below all panels, where it covers no point; each label once."""
    named: dict[str, Any] = {}
    for axes in places:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    if not named:
        return
    longest = max(map(len, named)) + 4
    columns = max(1, int(figure.get_figwidth() * _LABEL_CHARACTERS / longest))
    figure.legend(
        list(named.values()), list(named), loc="outside lower center", ncols=min(4, columns)
    )
