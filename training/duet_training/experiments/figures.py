"""Figures of evaluations: per seed, and pooled over seeds."""

from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from duet_report.intervals import Interval, difference_over_seeds
from duet_training.experiments.results import Results


def each_seed(results: Results, name: str, data: str = "easy") -> list[dict[str, Any]]:
    """Return the evaluations of a method, one for each finished seed."""
    names = [f"{name}@{data}", *(f"{name}-{seed}@{data}" for seed in range(10))]
    return [found for stage in names if (found := results.result(stage))]


@dataclass(frozen=True)
class Figure:
    """One method on one set, with its seeds pooled."""

    accuracy: float
    """Mean share of right answers."""
    low: float
    """Lower bound of its 95% interval."""
    high: float
    """Upper bound of its 95% interval."""
    tokens: float
    """Mean tokens of the reasoner per question."""
    seeds: int
    """Number of seeds."""
    questions: int
    """Number of questions of each seed."""

    @property
    def cells(self) -> list[str]:
        """Format the figure as cells of a table's row."""
        return [f"{self.accuracy:.3f} ({self.low:.3f} to {self.high:.3f})", f"{self.tokens:.1f}"]


def figure(results: Results, name: str, data: str = "easy") -> Figure | None:
    """Pool a method's evaluations over the finished seeds; None without a finished seed."""
    found = each_seed(results, name, data)
    if not found:
        return None

    accuracy = fmean([one["accuracy"] for one in found])
    # Seeds share their questions, so pooling does not narrow the interval: use the mean bounds.
    low, high = (fmean([one["accuracy_95"][side] for one in found]) for side in (0, 1))
    tokens = fmean([one["reasoner_tokens"] for one in found])
    return Figure(accuracy, low, high, tokens, len(found), found[0]["questions"])


def paired(results: Results, name: str, base: str, data: str = "greedy") -> Interval | None:
    """Compute accuracy of `name` minus accuracy of `base` on the same questions.

    The interval is a bootstrap over questions and over the seeds of each method.

    Returns:
        The interval; None if a result is missing or lacks scores per question.
    """
    ours, theirs = (_right(results, each, data) for each in (name, base))
    if ours is None or theirs is None:
        return None
    return difference_over_seeds(ours, theirs)


def _right(results: Results, name: str, data: str) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """Return scores (seeds, questions): 1 for a right answer."""
    runs = [one["by_run"] for one in each_seed(results, name, data)]
    if not all(run.get("right") for each in runs for run in each):
        return None
    found = [[run["right"] for run in each] for each in runs]
    rows = [[float(mark) for mark in right] for runs in found for right in runs]
    return np.array(rows) if rows else None
