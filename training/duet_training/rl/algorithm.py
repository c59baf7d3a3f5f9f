"""What a step does: the interface between the trainer's loop and a method."""

from dataclasses import dataclass
from typing import Any, Protocol

from duet_training.data.rows import Problem
from duet_training.rl.timing import Clock
from duet_training.rl.updates import Update


@dataclass(frozen=True)
class StepResult:
    """One step done. `solved`: share of right answers. `examples`: rows for `samples.jsonl`."""

    update: Update
    solved: float
    examples: list[dict[str, Any]]


class Algorithm(Protocol):
    """A method at work on its models. `priced`: whether lambda takes part and moves."""

    priced: bool

    def step(self, problems: list[Problem], step: int, price: float, clock: Clock) -> StepResult:
        """Samples answers to `problems` and learns from them."""
        ...
