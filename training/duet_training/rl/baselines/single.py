"""Single model: the large model alone under the joint method's length price.

    R(z) = r(z) - lambda * |z| / B            (arXiv 2605.01111, appendix D)

"The same reward function as in DUET, but without the two-stage collaboration": r is the score of
M's own answer, there is no r_m to subtract, and lambda moves by the same dual ascent
(`duet_training.objective.schedule`). The released code's switch for it is `translator.enable=False`.
"""

from duet_training.objective.rewards import Array, length_price


class SingleModel:
    """`budget`: B in tokens. With `on_success_only` wrong answers have no length penalty."""

    priced = True

    def __init__(self, budget: float, *, on_success_only: bool = False) -> None:
        self._budget, self._on_success_only = budget, on_success_only

    def limit(self, step: int) -> int | None:
        """See `Baseline`."""
        return None

    def rewards(self, right: Array, lengths: Array, price: float) -> Array:
        """See `Baseline`."""
        cost = length_price(
            lengths, price, self._budget, right, on_success_only=self._on_success_only
        )
        return right - cost
