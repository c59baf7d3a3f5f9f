"""Curves over training steps; seeds of the same run as mean, smallest and largest."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from duet_training.evaluation.report.results import Run

# What is drawn, by a metric's name.
SHOWN = {
    "validation/accuracy": "accuracy (validation)",
    "tokens/length": "length |z|",
    "ipt": "IPT (validation)",
    "price": "lambda",
    "reward/guided": "r_Mm",
    "reward/alone": "r_m",
    "reasoner/kl": "KL",
}


def curves(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """A curve for each kind of run: `series` by metric, rows of step, mean, least, most, seeds."""
    kinds = defaultdict(list)
    for run in runs:
        kinds[_label(run)].append(run)
    return [
        {
            "label": label,
            "runs": [str(run.directory) for run in same],
            "series": {metric: points for metric in SHOWN if (points := _points(same, metric))},
        }
        for label, same in kinds.items()
    ]


def _label(run: Run) -> str:
    """Equal for runs that differ in their seeds only."""
    training = run.training
    if training is None:
        return run.directory.name
    name = run.method if training.variant == "default" else f"{run.method} {training.variant}"
    return f"{name}, {training.data}, B = {training.budget:g}"


def _points(runs: Sequence[Run], metric: str) -> list[dict[str, float]]:
    at = defaultdict(list)
    for run in runs:
        for row in run.rows:
            value = _value(row, metric)
            if value is not None:
                at[int(row["step"])].append(value)
    return [
        {
            "step": step,
            "mean": sum(values) / len(values),
            "least": min(values),
            "most": max(values),
            "seeds": len(values),
        }
        for step, values in sorted(at.items())
    ]


def _value(row: dict[str, float], metric: str) -> float | None:
    if metric != "ipt":
        return row.get(metric)
    accuracy, tokens = row.get("validation/accuracy"), row.get("validation/response_tokens")
    return 1000 * accuracy / tokens if accuracy is not None and tokens else None
