"""Figures of evaluations: of one seed, and of all together."""

from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from duet_report.intervals import Interval, difference_over_seeds
from duet_training.experiments.results import Results


def each_seed(results: Results, name: str, data: str = "easy") -> list[dict[str, Any]]:
    """What the evaluations of a method say, one for each seed that is done."""
    names = [f"{name}@{data}", *(f"{name}-{seed}@{data}" for seed in range(10))]
    return [results.read(stage)["result"] for stage in names if results.done(stage)]


@dataclass(frozen=True)
class Figure:
    """One method on one set, seeds pooled: mean accuracy with its interval, mean tokens."""

    accuracy: float
    low: float
    high: float
    tokens: float
    seeds: int
    questions: int

    @property
    def cells(self) -> list[str]:
        """For a table's row."""
        return [f"{self.accuracy:.3f} ({self.low:.3f} to {self.high:.3f})", f"{self.tokens:.1f}"]


def figure(results: Results, name: str, data: str = "easy") -> Figure | None:
    """What evaluations of a method say, over those seeds that are done; None if none is."""
    found = each_seed(results, name, data)
    if not found:
        return None

    accuracy = fmean([one["accuracy"] for one in found])
    # Seeds share their questions, so pooling them narrows nothing: the mean of the bounds stands.
    low, high = (fmean([one["accuracy_95"][side] for one in found]) for side in (0, 1))
    tokens = fmean([one["reasoner_tokens"] for one in found])
    return Figure(accuracy, low, high, tokens, len(found), found[0]["questions"])


def paired(results: Results, name: str, base: str, data: str = "greedy") -> Interval | None:
    """Accuracy of `name` less that of `base` on the same questions; None if either is not there,
    or was kept without which questions were right.

    Bootstrap interval: questions are drawn anew, and so are the seeds of each.
    """
    ours, theirs = (_right(results, each, data) for each in (name, base))
    if ours is None or theirs is None:
        return None
    return difference_over_seeds(ours, theirs)


def _right(results: Results, name: str, data: str) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """(seeds, questions): 1 where the answer was right."""
    runs = [one["by_run"] for one in each_seed(results, name, data)]
    if not all(run.get("right") for each in runs for run in each):
        return None
    found = [[run["right"] for run in each] for each in runs]
    rows = [[float(mark) for mark in right] for runs in found for right in runs]
    return np.array(rows) if rows else None
