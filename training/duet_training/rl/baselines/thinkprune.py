"""ThinkPrune: right answers count only within a token limit, which falls in stages.

    R(z) = r(the first L_t tokens of z)
    L_t  = max(floor, start - less * floor_div(t - 1, every))      t = 1, 2, ...

Hou et al., arXiv 2504.01296, with the stages of arXiv 2605.01111 (appendix D): start 8000, less
1000 every 20 steps, floor 1000. Responses are sampled with L_t as their limit, which gives the same
first L_t tokens as cutting longer ones. There is no length penalty below the limit.
"""

from typing import ClassVar

from duet_training.objective.rewards import Array
from duet_training.settings.types import Count, Part, Whole


class ThinkPrune(Part):
    """The baseline `thinkprune`, and its settings."""

    priced: ClassVar[bool] = False

    start: Count
    """The first limit in tokens."""
    less: Whole
    """Tokens by which it falls."""
    every: Count
    """Steps after which it falls."""
    floor: Count
    """The last limit in tokens."""

    def limit(self, step: int) -> int | None:
        """See `Baseline`."""
        return max(self.floor, self.start - self.less * ((step - 1) // self.every))

    def rewards(self, right: Array, lengths: Array, price: float) -> Array:
        """See `Baseline`. `right` is of responses within the limit already."""
        return right.copy()
