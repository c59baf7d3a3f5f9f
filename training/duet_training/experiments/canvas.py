"""What every plot shares: colours, axes, legends outside, and files that come out the same."""

import re
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.style
from matplotlib.figure import Figure

# Told apart by the colour-blind, too (Okabe and Ito).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = "osD^vPX*<>hp"
GREY = "0.45"

# The default style, whatever the user's is. Text stays text: files are small, and can be searched.
_STYLE: Mapping[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "duet",
    "path.simplify": False,
    # Named with every text. The second is as wide, for those who lack the first.
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "0.92",
    "legend.frameon": False,
    "lines.linewidth": 1.2,
}


def style() -> Any:
    """A context in which figures are made and saved."""
    return mpl.style.context(["default", dict(_STYLE)])


def panels(
    rows: int, columns: int, size: tuple[float, float], **shared: Any
) -> tuple[Figure, list[list[Any]]]:
    """A figure and its axes, row by row. `size`: inches."""
    figure = Figure(figsize=size, layout="constrained")
    grid = [list(row) for row in figure.subplots(rows, columns, squeeze=False, **shared)]
    for axes in (each for row in grid for each in row):
        axes.locator_params(nbins=5)
    return figure, grid


def named(axes: Any, x: str, y: str, title: str = "") -> None:
    """Names both axes; units belong into the names."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, loc="left")


def line(axes: Any, steps: Sequence[int], values: Sequence[float], **look: Any) -> None:
    """A curve by step; of a single one, a point, since a line would not be seen."""
    axes.plot(steps, values, marker="" if len(steps) > 1 else ".", **look)


def legend(axes: Any, of: Any = None) -> None:
    """Right of the axes, where it hides nothing. `of`: other axes whose lines it names."""
    lines = (of or axes).get_lines()
    axes.legend(handles=lines, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0)


def shared_legend(figure: Figure) -> None:
    """Right of all axes, each label once."""
    lines = [one for axes in figure.axes for one in axes.get_lines()]
    once = {one.get_label(): one for one in reversed(lines)}
    handles = list(reversed(once.values()))
    figure.legend(handles=handles, loc="outside right upper")


def save(figure: Figure, file: Path) -> None:
    """As SVG on opaque white; the same figure always gives the same bytes."""
    written = StringIO()
    figure.savefig(
        written, format="svg", facecolor="white", metadata={"Date": None, "Creator": None}
    )
    file.write_text(_COORDINATE.sub(_rounded, written.getvalue()), "utf-8")


# In an attribute; a label follows a tag.
_COORDINATE = re.compile(r"(?<=[\s\"(])-?\d+\.\d{3,}(?=[\s\"),])")


def _rounded(found: re.Match[str]) -> str:
    """To a hundredth of a point: nobody sees more, and files are a third smaller."""
    return f"{float(found[0]):.2f}"
