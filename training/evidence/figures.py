"""Figures of evaluations: of one seed, and of all together."""

from dataclasses import dataclass
from statistics import fmean
from typing import Any

from training.evidence.results import Results


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
