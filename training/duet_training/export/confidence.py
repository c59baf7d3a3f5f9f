"""The probability below which an answer is marked as low in confidence, from right answers.

A decoder's probabilities are not calibrated, so the threshold comes from their values in right
answers. The device compares the probability of its least likely answer token with the threshold.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from duet_training.export.questions import Scores


def threshold(lowest: Sequence[float], scores: Scores, share: float | None) -> dict[str, Any]:
    """Compute the probability that all but `share` of the right answers reach.

    Args:
        lowest: Probability of each answer's least likely token, (N,).
        scores: Scores of the answers, (N,); above a half is right.
        share: Share of right answers that may be marked; None: no threshold.

    Returns:
        `threshold`, None if fewer than 1 / `share` answers were right; and the shares of right and
        of wrong answers that it marks, each None without such answers.
    """
    odds, right = np.asarray(lowest, np.float64), np.asarray(scores) > 0.5
    found = None
    if share is not None and right.sum() * share >= 1:
        # Use a measured value: an interpolated one would also mark the measured value below it.
        quantile = float(np.quantile(odds[right], share, method="lower"))
        # The quantile of a decoder that is always sure is 1, which is not a valid threshold.
        found = min(max(quantile, 1e-6), 1 - 1e-6)
    return {
        "threshold": found,
        "right_marked": _marked(odds[right], found),
        "wrong_marked": _marked(odds[~right], found),
    }


def _marked(odds: Any, limit: float | None) -> float | None:
    return float((odds < limit).mean()) if limit is not None and len(odds) else None
