"""The interface of a baseline that trains."""

from typing import Protocol

from duet_training.objective.rewards import Array


class Baseline(Protocol):
    """What the reasoner's own answers earn.

    `priced`: whether lambda (`objective.price`) takes part, and so whether it moves.
    """

    priced: bool

    def limit(self, step: int) -> int | None:
        """The most tokens that a response may have in a step (1, 2, ...); None: no other limit."""
        ...

    def rewards(self, right: Array, lengths: Array, price: float) -> Array:
        """R(z) before the KL term, (Q, S), from scores r and lengths |z|, both (Q, S)."""
        ...
