"""Measure how sure a decoder was of a token, from the logits that chose it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Below the most likely token's logit, where a probability is 0 in single precision. Finite, since a
# logit of minus infinity times a probability of 0 is not a number.
_LEAST = -87.0


@dataclass(frozen=True, slots=True)
class Odds:
    """How sure the decoder was of one token."""

    log_probability: float
    """Natural logarithm of the token's probability."""
    margin: float
    """Probability of the most likely token, less that of the next one."""
    entropy: float
    """Entropy of all tokens' probabilities, in nats."""

    @property
    def probability(self) -> float:
        """Probability of the token."""
        return math.exp(self.log_probability)


def odds_of(logits: NDArray[np.float32], tokens: Sequence[int] | None = None) -> list[Odds]:
    """Return the odds of a token at each position.

    Args:
        logits: of each position's next token, in the shape (positions, vocabulary).
        tokens: one at each position; None for the most likely ones.

    Examples:
        >>> [sure] = odds_of(np.log(np.array([[0.5, 0.25, 0.25]], np.float32)))
        >>> round(sure.probability, 3), round(sure.margin, 3), round(sure.entropy, 3)
        (0.5, 0.25, 1.04)
    """
    centered = np.maximum(logits - logits.max(axis=1, keepdims=True), _LEAST)
    exponentials = np.exp(centered)
    totals = exponentials.sum(axis=1)
    logs = np.log(totals)
    entropies = logs - np.einsum("ij,ij->i", exponentials, centered) / totals
    chosen = 0.0 if tokens is None else centered[np.arange(len(tokens)), list(tokens)]
    # All but the most likely; far cheaper than a partition.
    exponentials[np.arange(len(logits)), centered.argmax(axis=1)] = 0.0
    margins = (1.0 - exponentials.max(axis=1)) / totals
    return [
        Odds(float(log_probability), float(margin), max(0.0, float(entropy)))
        for log_probability, margin, entropy in zip(chosen - logs, margins, entropies, strict=True)
    ]
