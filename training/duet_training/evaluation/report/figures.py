"""The plots of the paper's figures: what was run, in colour, and what the paper reports, in grey."""

from collections.abc import Mapping, Sequence
from typing import Any

from duet_report.plots import Panel, Plot, PlotSeries
from duet_training.evaluation.report.curves import SHOWN, title_of
from duet_training.evaluation.report.results import Result
from duet_training.evaluation.report.seeds import alike, pool
from duet_training.evaluation.report.tables import paper

_ABLATION_TABLES = (6, 10, 11, 12)
_PAPER: dict[str, Any] = {"colour": None, "label": "paper"}


def plots(
    tables: Sequence[Mapping[str, Any]],
    over_steps: Sequence[Mapping[str, Any]],
    results: Sequence[Result],
) -> list[Plot]:
    """Describe all three plots."""
    return [_tokens(tables, results), _curves(over_steps), _ablations(tables)]


def _tokens(tables: Sequence[Mapping[str, Any]], results: Sequence[Result]) -> Plot:
    """Accuracy against the reasoner's tokens, a panel for each data set (the paper's Figure 4)."""
    names = paper()["benchmarks"]
    shown = [row for table in tables if table["number"] in (1, 4) for row in table["rows"]]
    panels = []
    for data in [*names, *sorted({result.data for result in results} - names.keys())]:
        known = {row["label"]: cell for row in shown if (cell := row["paper"].get(data))}
        tokens, accuracies = _columns(known.values(), "reasoner_tokens", "accuracy")
        series = [PlotSeries(x=tokens, y=accuracies, texts=list(known), **_PAPER)]
        for number, same in enumerate(alike(each for each in results if each.data == data)):
            cell = pool(same)
            low, high = cell.accuracy_95
            series.append(
                PlotSeries(
                    _name(same[0]), [cell.reasoner_tokens], [cell.accuracy], number,
                    low=[low], high=[high],
                )
            )  # fmt: skip
        panels.append(
            Panel("tokens of the reasoner", "accuracy", series, title=names.get(data, data))
        )
    caption = "Bars: 95% intervals. Grey: the paper's figures."
    return Plot("accuracy_tokens", "Accuracy against tokens", caption, panels, 3, (4.2, 3.4))


def _curves(over_steps: Sequence[Mapping[str, Any]]) -> Plot:
    """Metrics over steps (the paper's Figures 5, 6, 8, 11)."""
    panels = []
    found = sorted({metric for curve in over_steps for metric in curve["series"]})
    for metric in dict.fromkeys([*SHOWN, *found]):
        series = [
            PlotSeries(
                f"{curve['label']} ({band.seeds} seeds)", band.steps, band.mean, number,
                low=band.least, high=band.most, look="line",
            )
            for number, curve in enumerate(over_steps)
            if (band := curve["series"].get(metric))
        ]  # fmt: skip
        panels.append(Panel("step", title_of(metric), series))
    caption = "Mean over seeds; the band is the seeds' smallest and largest value."
    return Plot("curves", "Curves over steps", caption, panels, 3, (4.2, 3.0))


def _ablations(tables: Sequence[Mapping[str, Any]]) -> Plot:
    """Accuracy of each ablation, tokens written next to it (the paper's Figures 7, 9, 10)."""
    names = paper()["benchmarks"]
    panels = []
    for table in tables:
        if table["number"] not in _ABLATION_TABLES:
            continue
        rows: list[tuple[str, Any, Any]] = [
            (f"{row['label']}, {names.get(data, data)}", row["paper"].get(data), ours)
            for row in table["rows"]
            for data in table["columns"]
            if (ours := row["measured"].get(data)) or data == table["columns"][0]
        ]
        series = []
        for number, look in ((1, _PAPER), (2, {"colour": 0, "label": "measured"})):
            cells: dict[int, Any] = {at: row[number] for at, row in enumerate(rows) if row[number]}
            accuracies, tokens = _columns(cells.values(), "accuracy", "reasoner_tokens")
            bounds = [cell.get("accuracy_95") for cell in cells.values()]
            low, high = zip(*bounds, strict=True) if bounds and all(bounds) else (None, None)
            texts = [f"{each:.0f} tokens" for each in tokens]
            series.append(
                PlotSeries(x=accuracies, y=[*cells], low=low, high=high, texts=texts, **look)
            )
        title = f"Table {table['number']}: {table['title']}"
        panels.append(Panel("accuracy", series=series, title=title, rows=[row[0] for row in rows]))
    caption = "Bars: 95% intervals. Grey: the paper's figures."
    return Plot("ablations", "Ablations", caption, panels, 2, (6.5, 4.0))


def _columns(cells: Any, *keys: str) -> list[list[float]]:
    return [[cell[key] for cell in cells] for key in keys]


def _name(result: Result) -> str:
    if result.cut_at:
        return f"{result.method} at {result.cut_at}"
    variant = result.training.variant if result.training else "default"
    return result.method if variant == "default" else f"{result.method} {variant}"
