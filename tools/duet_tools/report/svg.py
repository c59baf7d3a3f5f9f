"""How plots look: SVG that takes its colours from the page, so that light and dark work.

matplotlib draws with stand-in colours, which become CSS variables. Each plot is as wide as a phone
shows without making its letters too small; wider screens put two side by side.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import quoteattr  # nosec B406

import matplotlib as mpl
from matplotlib.figure import Figure

mpl.use("svg")

INK, GRID = "#0a0b0c", "#0a0b0d"
_SERIES = tuple(f"#0a0c{number:02x}" for number in range(16, 24))
_VARIABLES = {
    INK: "var(--ink)",
    GRID: "var(--grid)",
    **{colour: f"var(--series-{number})" for number, colour in enumerate(_SERIES)},
}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 11.5,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "grid.color": GRID,
    "legend.frameon": False,
    "savefig.facecolor": "none",
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 2,
    "lines.markersize": 7,
}
MARKERS = "osD^vPX*"
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


def style() -> Any:
    """A context in which plots are drawn."""
    return mpl.rc_context(dict(_STYLE))


def plot(
    title: str, caption: str, draw: Callable[[Figure], None], name: str, height: float = 3.8
) -> Plot:
    """Draws a plot. `name`: of its ids; no other plot of the page has it. `height`: inches."""
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
    return svg.replace("<svg ", f"<svg role='img' aria-label={quoteattr(label)} ", 1).strip()


def colour(number: int) -> str:
    """Stand-in for the page's colour of a series."""
    return _SERIES[number % len(_SERIES)]


def name_links(axes: Any, places: Mapping[str, float]) -> None:
    """Link names along the top, slanted, and moved apart where links are near each other."""
    free = float("-inf")
    for name, x in sorted(places.items(), key=lambda place: place[1]):
        if x:
            at = axes.transData.transform((x, 0))[0]
            moved = max(at, free)
            free = moved + _NAME_PIXELS
            axes.annotate(
                name, (x, 1), xycoords=("data", "axes fraction"), rotation=45, fontsize=9,
                xytext=(moved - at, 2), textcoords="offset pixels", color=INK,
            )  # fmt: skip


def plain_ticks(axes: Any, ticks: Sequence[float]) -> None:
    """Those of `ticks` that lie inside, as plain numbers: 1000 and not ten to the third."""
    low, high = axes.get_xlim()
    inside = [tick for tick in ticks if low <= tick <= high]
    if len(inside) < 2:
        finer = [tick * step for tick in ticks for step in (1, 2, 5)]
        inside = [tick for tick in finer if low <= tick <= high]
    axes.set_xticks(inside, [f"{tick:g}" for tick in inside])
    axes.minorticks_off()
    axes.set_xlim(low, high)


def legend(figure: Figure, axes: Any) -> None:
    """Below the plot, where it never covers a point; each name once."""
    handles, labels = axes.get_legend_handles_labels()
    named = dict(zip(labels, handles, strict=True))
    columns = 2 if sum(sorted(map(len, named))[-2:]) <= _LEGEND_CHARACTERS else 1
    figure.legend(
        named.values(), named.keys(), loc="outside lower center", ncols=columns, fontsize=10
    )
