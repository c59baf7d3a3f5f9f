"""Curves over training steps; seeds of the same run as mean, smallest and largest."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from duet_training.evaluation.metrics import intelligence_per_token
from duet_training.evaluation.report.results import Run

# What is drawn, by a metric's name.
SHOWN = {
    "validation/accuracy": "accuracy (validation)",
    "tokens/length": "length |z|",
    "ipt": "IPT (validation)",
    "lambda": "lambda",
    "reward/guided": "r_Mm",
    "reward/alone": "r_m",
    "reasoner/kl": "KL",
}


@dataclass(frozen=True)
class Band:
    """A metric by step, over runs that differ only in the seed."""

    steps: list[int]
    """Numbers of the steps."""
    mean: list[float]
    """Mean over seeds at each step."""
    least: list[float]
    """Least value of a seed at each step."""
    most: list[float]
    """Largest value of a seed at each step."""
    seeds: int
    """Number of seeds."""


def band_of(runs: Sequence[Mapping[int, float]]) -> Band | None:
    """Join runs, each values by step, over their common steps; None without a common step.

    The mean of fewer runs would jump at the step where one run ends.
    """
    steps = sorted(set.intersection(*map(set, runs))) if runs else []
    at = [[run[step] for run in runs] for step in steps]
    mean, least, most = ([of(values) for values in at] for of in (fmean, min, max))
    return Band(steps, mean, least, most, len(runs)) if steps else None


def title_of(metric: str) -> str:
    """Return the title of a metric in `SHOWN`, or of a named validation set's accuracy."""
    return SHOWN.get(metric) or f"accuracy ({metric.split('/')[1]})"


def _drawn(runs: Sequence[Run]) -> list[str]:
    keys = {key for run in runs for row in run.rows for key in row}
    return [*SHOWN, *sorted(key for key in keys if re.fullmatch("validation/.+/accuracy", key))]


def curves(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Make a curve for each kind of run: label, runs, and a band for each metric in `series`."""
    kinds = defaultdict(list)
    for run in runs:
        kinds[_label(run)].append(run)
    return [
        {
            "label": label,
            "runs": [str(run.directory) for run in same],
            "series": {
                metric: band
                for metric in _drawn(runs)
                if (band := band_of([found for run in same if (found := _values(run, metric))]))
            },
        }
        for label, same in kinds.items()
    ]


def _label(run: Run) -> str:
    """Return a label that is equal for runs that differ only in the seed."""
    training = run.training
    if training is None:
        return run.directory.name
    name = run.method if training.variant == "default" else f"{run.method} {training.variant}"
    return f"{name}, {training.data}, B = {training.budget:g}"


def _values(run: Run, metric: str) -> dict[int, float]:
    found = ((int(row["step"]), _value(row, metric)) for row in run.rows)
    return {step: value for step, value in found if value is not None}


def _value(row: dict[str, float], metric: str) -> float | None:
    if metric != "ipt":
        return row.get(metric)
    accuracy, tokens = row.get("validation/accuracy"), row.get("validation/response_tokens")
    if accuracy is None or tokens is None:
        return None
    return intelligence_per_token(accuracy, tokens)
