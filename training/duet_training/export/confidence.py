"""Below which probability an answer is marked as doubtful: from the answers that were right.

A decoder's probabilities tell little of themselves; what counts is what they were when it was
right. The device compares the probability of its least likely answer token with the threshold.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from duet_training.export.questions import Scores


def threshold(lowest: Sequence[float], scores: Scores, share: float | None) -> dict[str, Any]:
    """The probability that all but `share` of the right answers keep to.

    Args:
        lowest: probability of each answer's least likely token, (N,).
        scores: of the answers, (N,); above a half is right.
        share: of right answers that may be marked; None: no threshold.

    Returns:
        `threshold`, None if fewer than 1 / `share` answers were right, too few to tell; and how
        much of the right and of the wrong answers it marks, None where there are none.
    """
    odds, right = np.asarray(lowest, np.float64), np.asarray(scores) > 0.5
    found = None
    if share is not None and right.sum() * share >= 1:
        # One that was measured: between two of them lies one that marks what is below both.
        quantile = float(np.quantile(odds[right], share, method="lower"))
        # A decoder that is always sure has nothing to tell.
        found = min(max(quantile, 1e-6), 1 - 1e-6)
    return {
        "threshold": found,
        "right_marked": _marked(odds[right], found),
        "wrong_marked": _marked(odds[~right], found),
    }


def _marked(odds: Any, limit: float | None) -> float | None:
    return float((odds < limit).mean()) if limit is not None and len(odds) else None
