"""Figures as PNG and SVG, drawn from the report's own numbers."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from duet_training.evaluation.report.curves import SHOWN
from duet_training.evaluation.report.results import Result
from duet_training.evaluation.report.seeds import pool, same_but_for_seed
from duet_training.evaluation.report.tables import paper

mpl.use("Agg")
mpl.rcParams["svg.hashsalt"] = "duet"  # the same figures give the same file
_COLUMNS = 3
_ABLATION_TABLES = (6, 10, 11, 12)


def draw(
    tables: Sequence[Mapping[str, Any]],
    over_steps: Sequence[Mapping[str, Any]],
    results: Sequence[Result],
    out: Path,
) -> list[dict[str, Any]]:
    """Draws all three; returns file, title, and whether anything measured (or at all) is in it."""
    return [
        _tokens(tables, results, out),
        _curves(over_steps, out),
        _ablations(tables, out),
    ]


def _tokens(
    tables: Sequence[Mapping[str, Any]], results: Sequence[Result], out: Path
) -> dict[str, Any]:
    """Accuracy against the reasoner's tokens, a panel for each data set (the paper's Figure 4)."""
    names = paper()["benchmarks"]
    shown = [table for table in tables if table["number"] in (1, 4)]
    sets = [*names, *sorted({result.data for result in results} - names.keys())]
    figure, panels = _panels(len(sets))
    measured = False
    for data, axes in zip(sets, panels, strict=True):
        known = {row["label"]: row["paper"].get(data) for table in shown for row in table["rows"]}
        for index, (label, cell) in enumerate(known.items()):
            if cell:
                x, y = cell["reasoner_tokens"], cell["accuracy"]
                axes.plot(x, y, _MARKS[index % len(_MARKS)], color="0.6", mfc="none", ms=6)
                axes.annotate(label, (x, y), fontsize=5, color="0.5", xytext=(3, 3), textcoords=_AT)
        groups: dict[Any, list[Result]] = {}
        for result in results:
            if result.data == data:
                groups.setdefault(same_but_for_seed(result), []).append(result)
        for same in groups.values():
            measured = True
            cell = pool(same)
            low, high = cell.accuracy_95
            error = [[max(0.0, cell.accuracy - low)], [max(0.0, high - cell.accuracy)]]
            axes.errorbar(cell.reasoner_tokens, cell.accuracy, yerr=error, fmt="o", capsize=2)
            at = (cell.reasoner_tokens, cell.accuracy)
            axes.annotate(_name(same[0]), at, fontsize=6, xytext=(3, -8), textcoords=_AT)
        empty = "" if groups else "\n(measured: not run)"
        axes.set_title(names.get(data, data) + empty, fontsize=8)
        axes.set_xlabel("tokens of the reasoner", fontsize=7)
        axes.set_ylabel("accuracy", fontsize=7)
    title = "Accuracy against tokens (grey: the paper's)"
    return _save(figure, out, "accuracy_tokens", title, measured=measured, empty=False)


def _curves(over_steps: Sequence[Mapping[str, Any]], out: Path) -> dict[str, Any]:
    """Metrics over steps; the band is the seeds' smallest and largest (Figures 5, 6, 8, 11)."""
    metrics = [m for m in SHOWN if any(m in curve["series"] for curve in over_steps)]
    figure, panels = _panels(len(metrics))
    for metric, axes in zip(metrics, panels, strict=True):
        for curve in over_steps:
            points = curve["series"].get(metric, [])
            if points:
                steps = [point["step"] for point in points]
                label = f"{curve['label']} ({max(p['seeds'] for p in points)} seeds)"
                (line,) = axes.plot(steps, [p["mean"] for p in points], marker=".", label=label)
                least, most = ([p[key] for p in points] for key in ("least", "most"))
                axes.fill_between(steps, least, most, alpha=0.2, color=line.get_color())
        axes.set_title(SHOWN[metric], fontsize=8)
        axes.set_xlabel("step", fontsize=7)
        axes.legend(fontsize=5)
    title, there = "Curves over steps", bool(metrics)
    return _save(figure, out, "curves", title, measured=there, empty=not there)


def _ablations(tables: Sequence[Mapping[str, Any]], out: Path) -> dict[str, Any]:
    """Ablations as bars of accuracy, tokens written on them (the paper's Figures 7, 9, 10)."""
    names = paper()["benchmarks"]
    shown = [table for table in tables if table["number"] in _ABLATION_TABLES]
    figure, panels = _panels(len(shown))
    measured = False
    for table, axes in zip(shown, panels, strict=True):
        places: list[float] = []
        ticks: list[str] = []
        for row in table["rows"]:
            for data in table["columns"]:
                ours, theirs = row["measured"].get(data), row["paper"].get(data)
                if data != table["columns"][0] and not ours:
                    continue
                at = len(places)
                places.append(at)
                ticks.append(f"{row['label']}, {names.get(data, data)}")
                if theirs:
                    axes.barh(at + 0.2, theirs["accuracy"], 0.35, color="0.8")
                    _write(axes, theirs["reasoner_tokens"], at + 0.2, color="0.4")
                if ours:
                    measured = True
                    low, high = ours["accuracy_95"]
                    error = [[max(0, ours["accuracy"] - low)], [max(0, high - ours["accuracy"])]]
                    axes.barh(at - 0.2, ours["accuracy"], 0.35, xerr=error, color="C0")
                    _write(axes, ours["reasoner_tokens"], at - 0.2, color="black")
                else:
                    axes.text(0.01, at - 0.2, "not run", fontsize=5, va="center")
        axes.set_yticks(places, ticks, fontsize=5)
        axes.invert_yaxis()
        axes.set_xlabel("accuracy (number: tokens)", fontsize=7)
        axes.set_title(f"Table {table['number']}: {table['title']}", fontsize=7)
    title = "Ablations (grey: the paper's)"
    return _save(figure, out, "ablations", title, measured=measured, empty=False)


_MARKS = "sD^v<>ph*"
_AT = "offset points"


def _write(axes: Any, tokens: float, at: float, color: str) -> None:
    axes.text(0.02, at, f"{tokens:.0f}", fontsize=5, va="center", color=color)


def _name(result: Result) -> str:
    if result.cut_at:
        return f"{result.method} at {result.cut_at}"
    variant = result.training.variant if result.training else "default"
    return result.method if variant == "default" else f"{result.method} {variant}"


def _panels(count: int) -> tuple[Figure, list[Any]]:
    """A figure with `count` panels, `_COLUMNS` in a row."""
    rows = max(1, -(-count // _COLUMNS))
    figure = Figure(figsize=(4 * _COLUMNS, 3.2 * rows), layout="constrained")
    grid: Iterable[Any] = figure.subplots(rows, _COLUMNS, squeeze=False).flat
    panels = list(grid)
    for unused in panels[count:]:
        unused.remove()
    for used in panels[:count]:
        used.tick_params(labelsize=6)
    return figure, panels[:count]


def _save(
    figure: Figure, out: Path, name: str, title: str, *, measured: bool, empty: bool
) -> dict[str, Any]:
    if not empty:
        figure.savefig(out / f"{name}.png", dpi=150)
        figure.savefig(out / f"{name}.svg", metadata={"Date": None})
    return {"file": f"{name}.svg", "title": title, "measured": measured, "empty": empty}
