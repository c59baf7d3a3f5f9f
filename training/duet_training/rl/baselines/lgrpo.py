r"""L-GRPO: right answers pay for their length relative to the longest right one in their group.

    R(z_i) = r_i - weight * r_i * |z_i| / max { |z_j| : j in the group, r_j > 0 }

Song and Zheng (2025) as arXiv 2605.01111 describes it (appendix D): the penalty is "the ratio
between the response length and the maximum length among correct responses within the group",
"applied only to correct responses". It names no weight, so 1 is the default; the longest right
answer then earns as little as a wrong one, which `lgrpo.weight` below 1 avoids.
"""

from typing import ClassVar

import numpy as np

from duet_training.objective.rewards import Array
from duet_training.settings.types import NotNegative, Part


class LengthGrpo(Part):
    """The baseline `lgrpo`, and its settings."""

    priced: ClassVar[bool] = False

    weight: NotNegative
    """Weight of the penalty; 1 in arXiv 2605.01111."""

    def limit(self, step: int) -> int | None:
        """See `Baseline`."""
        return None

    def rewards(self, right: Array, lengths: Array, price: float) -> Array:
        """See `Baseline`."""
        longest = np.where(right > 0, lengths, 0.0).max(axis=1, keepdims=True)
        # A group without a right answer has none to compare with, and none that pays.
        ratio = lengths / np.where(longest > 0, longest, 1.0)
        rewards: Array = right - self.weight * right * ratio
        return rewards
