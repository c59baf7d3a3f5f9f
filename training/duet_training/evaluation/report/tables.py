"""The paper's tables with measured rows beside its own. `paper.json` holds the paper's numbers."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from duet_contract.json_data import parse_json
from duet_training.evaluation.report.results import UNTRAINED, Result
from duet_training.evaluation.report.seeds import pool, same_but_for_seed

NOT_RUN = "not run"


def paper() -> dict[str, Any]:
    """The paper's figures: tables with rows, what identifies each row, and their values."""
    content: dict[str, Any] = parse_json(
        files("duet_training.evaluation.report").joinpath("paper.json").read_text("utf-8")
    )
    return content


def attribute(result: Result, key: str) -> Any:
    """What a row of `paper.json` may ask of a result, by the row's own word."""
    training = result.training
    match key:
        case "train":
            return training.data if training else None
        case "variant":
            return training.variant if training else None
        case "budget":
            return training.budget if training else None
        case "constant":
            return training.constant if training else None
        case _:
            return getattr(result, key)


def matches(result: Result, wanted: Mapping[str, Any]) -> bool:
    """Whether a result belongs into a row."""
    if result.method in UNTRAINED and result.trained:
        return False  # a trained reasoner, asked in a way that is not its own
    for key, value in wanted.items():
        if key == "train_not":
            if attribute(result, "train") == value:
                return False
        elif attribute(result, key) != value:
            return False
    return True


def build_tables(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Every table: `columns`, and `rows` with `paper` and `measured` cells by data set.

    Rows of the paper stand first, in its order; then those that only were measured (`vary`).
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
    """A cell for each data set: the latest step where the row asks for none, seeds averaged.

    What differs in more than seeds (two budgets in a row for any) is not averaged: the largest
    group of seeds stands, and `others` says how many results do not.
    """
    by_data = defaultdict(list)
    for result in results:
        by_data[result.data].append(result)
    cells = {}
    for data, those in by_data.items():
        last = max((r.step for r in those if r.step is not None), default=None)
        latest = [r for r in those if r.step in (None, last)]
        groups = defaultdict(list)
        for result in latest:
            groups[same_but_for_seed(result)].append(result)
        largest = max(groups.values(), key=len)
        others = len(latest) - len(largest)
        files_used = sorted(result.file.name for result in largest)
        cells[data] = {**asdict(pool(largest)), "others": others, "files": files_used}
    return cells


def everything(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Every result, seeds averaged, whether a table of the paper has a row for it or not."""
    groups = defaultdict(list)
    for result in results:
        groups[same_but_for_seed(result)].append(result)
    rows = []
    for group in groups.values():
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
