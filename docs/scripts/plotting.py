"""Plots in the colors of one scheme, as SVG that comes out the same each time."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from drawing import Scheme

mpl.use("svg")


@contextmanager
def plotted(scheme: Scheme) -> Iterator[tuple[Axes, list[str]]]:
    """Axes to draw on, and a list that has the plot's SVG at the end."""
    style: dict[Any, Any] = {
        "svg.fonttype": "none", "svg.hashsalt": "duet", "font.family": "sans-serif",
        "font.size": 11, "text.color": scheme.ink, "axes.labelcolor": scheme.ink,
        "axes.edgecolor": scheme.line, "xtick.color": scheme.ink, "ytick.color": scheme.ink,
        "axes.spines.top": False, "axes.spines.right": False, "grid.color": scheme.line,
    }  # fmt: skip
    svg: list[str] = []
    with mpl.rc_context(style):
        figure = Figure(figsize=(8.4, 3.4), dpi=72, layout="constrained")
        axes = figure.subplots()
        axes.grid(alpha=0.25)
        yield axes, svg
        out = io.StringIO()
        metadata = {"Date": None, "Creator": None}
        figure.savefig(out, format="svg", transparent=True, metadata=metadata)
    text = out.getvalue()
    svg.append(text[text.index("<svg") :])
