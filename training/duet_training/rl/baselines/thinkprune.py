"""ThinkPrune: right answers count only if they come before a limit, which falls in stages.

    R(z) = r(the first L_t tokens of z)
    L_t  = max(floor, start - less * floor_div(t - 1, every))      t = 1, 2, ...

Hou et al., arXiv 2504.01296, with the stages of arXiv 2605.01111 (appendix D): start 8000, less
1000 every 20 steps, floor 1000. Responses are sampled with L_t as their limit, which gives the same
first L_t tokens as cutting longer ones. There is no price of length below the limit.
"""

from duet_training.objective.rewards import Array


class ThinkPrune:
    """`start`, `less` and `floor` in tokens, `every` in steps."""

    priced = False

    def __init__(self, start: int, less: int, every: int, floor: int) -> None:
        self._start, self._less, self._every, self._floor = start, less, every, floor

    def limit(self, step: int) -> int | None:
        """See `Baseline`."""
        stages = (step - 1) // self._every
        return max(self._floor, self._start - self._less * stages)

    def rewards(self, right: Array, lengths: Array, price: float) -> Array:
        """See `Baseline`. `right` is of responses within the limit already."""
        return right.copy()
