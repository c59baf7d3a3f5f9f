"""The length penalty (lambda) over time.

Dual ascent on the budget constraint E|z| <= B (arXiv 2605.01111):

    lambda_{t+1} = clip( lambda_t + eta * (mean|z| / B - 1), low, high )

with clip to [0, 1] in the paper and the released code, eta = 0.01, lambda_0 = 0. The paper's
ablations are `clip = None` (collapses late) and `ConstantLambda`.
"""

from dataclasses import dataclass
from typing import Protocol


class Schedule(Protocol):
    """Computes the length penalty for the next step."""

    def next(self, price: float, mean_length: float) -> float:
        """Compute lambda_{t+1} from lambda_t and the step's mean |z| in tokens."""


@dataclass(frozen=True)
class DualAscent:
    """Raises lambda while signals are longer than `budget` tokens, lowers it while shorter."""

    budget: float
    rate: float
    clip: tuple[float, float] | None = (0.0, 1.0)

    def next(self, price: float, mean_length: float) -> float:
        """See `Schedule`."""
        moved = price + self.rate * (mean_length / self.budget - 1.0)
        if self.clip is None:
            return moved
        low, high = self.clip
        return min(max(moved, low), high)


@dataclass(frozen=True)
class ConstantLambda:
    """Keeps lambda constant."""

    def next(self, price: float, mean_length: float) -> float:
        """See `Schedule`."""
        return price
