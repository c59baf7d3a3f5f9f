"""The interface between the trainer's loop and a method."""

from dataclasses import dataclass
from typing import Any, Protocol

from duet_training.data.rows import Problem
from duet_training.rl.timing import Clock
from duet_training.rl.updates import Update


@dataclass(frozen=True)
class StepResult:
    """The result of one step."""

    update: Update
    solved: float
    """Share of right answers."""
    examples: list[dict[str, Any]]
    """Rows for `samples.jsonl`."""


class Algorithm(Protocol):
    """A method with its models."""

    priced: bool
    """Whether the method uses and updates the length penalty (lambda)."""

    def step(self, problems: list[Problem], step: int, price: float, clock: Clock) -> StepResult:
        """Sample answers to `problems` and update the models with them."""
