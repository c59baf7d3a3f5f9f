"""The paper's tables with measured values added. `paper.json` holds the paper's numbers."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from duet_contract.json_data import parse_json
from duet_training.evaluation.report.results import UNTRAINED, Result
from duet_training.evaluation.report.seeds import alike, pool

NOT_RUN = "not run"
RELEASED_RULE = "micro-batch-token-mean"


def paper() -> dict[str, Any]:
    """Load the paper's tables: rows, what identifies each row, and values."""
    content: dict[str, Any] = parse_json(
        files("duet_training.evaluation.report").joinpath("paper.json").read_text("utf-8")
    )
    return content


def attribute(result: Result, key: str) -> Any:
    """Return the attribute of a result that a row of `paper.json` names."""
    training = result.training
    match key:
        case "train":
            return training.data if training else None
        case "variant":
            return _as_papers(training.variant) if training else None
        case "budget":
            return training.budget if training else None
        case "constant":
            return training.constant if training else None
        case _:
            return getattr(result, key)


def _as_papers(variant: str) -> str:
    """Leave out the rule of aggregation of the paper's own code."""
    kept = [name for name in variant.split("+") if name != RELEASED_RULE]
    return "+".join(kept) or "default"


def matches(result: Result, wanted: Mapping[str, Any]) -> bool:
    """Whether a result belongs in a row."""
    if result.method in UNTRAINED and result.trained:
        return False  # a trained reasoner with another method's prompt
    for key, value in wanted.items():
        if key == "train_not":
            if attribute(result, "train") == value:
                return False
        elif attribute(result, key) != value:
            return False
    return True


def build_tables(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Build every table: `columns`, and `rows` with `paper` and `measured` cells by data set.

    The paper's rows come first, in its order, then rows that were only measured (`vary`).
    """
    return [_table(table, results) for table in paper()["tables"]]


def _table(table: Mapping[str, Any], results: Sequence[Result]) -> dict[str, Any]:
    rows, used = [], set()
    for row in table["rows"]:
        found = [r for r in results if "match" in row and matches(r, row["match"])]
        used |= {result.file for result in found}
        rows.append({"label": row["label"], "paper": row["paper"], "measured": _cells(found)})
    rows += _varied(table.get("vary"), [r for r in results if r.file not in used])
    extra = {name for row in rows for name in row["measured"]} - set(table["columns"])
    return {
        "number": table["number"],
        "title": table["title"],
        "note": table.get("note"),
        "figures": table["figures"],
        "columns": [*table["columns"], *sorted(extra)],
        "rows": rows,
    }


def _varied(vary: Mapping[str, Any] | None, results: Sequence[Result]) -> list[dict[str, Any]]:
    if vary is None:
        return []
    groups = defaultdict(list)
    for result in results:
        value = attribute(result, vary["by"])
        if value is not None and matches(result, vary["match"]):
            groups[value].append(result)
    return [
        {"label": vary["label"].format(value), "paper": {}, "measured": _cells(groups[value])}
        for value in sorted(groups)
    ]


def _cells(results: Sequence[Result]) -> dict[str, Any]:
    """Make a cell for each data set: the latest step unless the row names one, seeds averaged.

    Results that differ in more than the seed (two budgets in a row for any budget) are not
    averaged: the cell shows the largest group of seeds, and `others` counts the other results.
    """
    by_data = defaultdict(list)
    for result in results:
        by_data[result.data].append(result)
    cells = {}
    for data, those in by_data.items():
        last = max((r.step for r in those if r.step is not None), default=None)
        latest = [r for r in those if r.step in (None, last)]
        largest = max(alike(latest), key=len)
        others = len(latest) - len(largest)
        files_used = sorted(result.file.name for result in largest)
        cells[data] = {**asdict(pool(largest)), "others": others, "files": files_used}
    return cells


def everything(results: Sequence[Result]) -> list[dict[str, Any]]:
    """List every result, seeds averaged, including results without a row in the paper's tables."""
    rows = []
    for group in alike(results):
        first = group[0]
        training = first.training
        rows.append(
            {
                "method": first.method,
                "data": first.data,
                "cut_at": first.cut_at,
                "trained_on": training.data if training else None,
                "variant": training.variant if training else None,
                "budget": training.budget if training else None,
                **asdict(pool(group)),
            }
        )
    return sorted(rows, key=lambda row: (row["data"], row["method"], row["variant"] or ""))
