r"""The dense reward: how likely the reference is to the decoder, in place of sampled answers.

    r_Mm(z) = log p_m(y* | x, z)        r_m = log p_m(y* | x)

y* is the reference as the decoder ends its answers with it, `\boxed{204}` and the end token by
default. r_Mm - r_m is then the information in nats that the signal holds about the reference. As in
RLT (arXiv 2506.08388) there is one value a signal instead of four samples of 0 or 1, and signals of
one question hardly ever tie. It is a log-probability of the whole y*, not of its mean token.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from duet_training.objective.rewards import Array, UtilityBaseline


@dataclass(frozen=True)
class DenseScores:
    """Log-likelihoods of the reference in nats, each (Q, S)."""

    guided: Array
    """r_Mm: with the signal; where answers read several prefixes of it, the mean over them."""
    alone: Array
    """r_m: without a signal; the same for all signals of a question."""

    def baseline(self, kind: UtilityBaseline) -> Array:
        """Return r_m as the utility's baseline: zeros for `none`."""
        return np.zeros_like(self.alone) if kind is UtilityBaseline.NONE else self.alone


def log_likelihoods(log_probs: Sequence[NDArray[np.float32]]) -> Array:
    """Sum the log-probs of each row's tokens in float64, (N,)."""
    return np.array([np.asarray(row, dtype=np.float64).sum() for row in log_probs])
