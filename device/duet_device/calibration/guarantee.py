"""Guarantee a share of right answers: exact binomial tests of thresholds, in a fixed sequence.

Learn-then-Test (Angelopoulos et al., arXiv 2110.01052): the hypothesis of a threshold is that more
than `risk` of the answers that it trusts are wrong. One part of the data orders the thresholds, the
other tests them in that order until the first that is not rejected. So the probability that any of
those accepted trusts too many wrong answers is at most `failure`, however many there are.
"""

import math
from collections.abc import Sequence


def p_value(wrong: int, trusted: int, risk: float) -> float:
    """Return how probable so few wrong answers are, if a share of `risk` were wrong.

    Examples:
        >>> round(p_value(0, 29, 0.1), 4)
        0.0471
        >>> p_value(0, 0, 0.1)
        1.0
    """
    if risk <= 0:
        return 1.0
    if risk >= 1:
        return float(wrong >= trusted)
    of_one, of_none = math.log(risk), math.log1p(-risk)
    whole = math.lgamma(trusted + 1)
    terms = (
        whole
        - math.lgamma(k + 1)
        - math.lgamma(trusted - k + 1)
        + k * of_one
        + (trusted - k) * of_none
        for k in range(min(wrong, trusted) + 1)
    )
    return min(1.0, math.fsum(map(math.exp, terms)))


def needed(risk: float, failure: float) -> int:
    """Return how many answers, all of them right, the guarantee needs at least.

    Examples:
        >>> needed(0.1, 0.05), needed(0.01, 0.05)
        (29, 299)
    """
    return math.ceil(math.log(failure) / math.log1p(-risk))


def most_wrong(wrong: int, trusted: int, failure: float) -> float:
    """Return the share of wrong answers that is exceeded with a probability of at most `failure`.

    The upper limit of Clopper and Pearson, one-sided.

    Examples:
        >>> round(most_wrong(0, 29, 0.05), 3), most_wrong(0, 0, 0.05)
        (0.098, 1.0)
    """
    if wrong >= trusted:
        return 1.0
    low, high = 0.0, 1.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        if p_value(wrong, trusted, middle) > failure:
            low = middle
        else:
            high = middle
    return high


def in_sequence(counts: Sequence[tuple[int, int]], risk: float, failure: float) -> int:
    """Return how many hypotheses, tested in their order, are rejected before the first that is not.

    Args:
        counts: wrong and trusted answers at each threshold.
        risk: share of wrong answers that is allowed (alpha).
        failure: probability that the guarantee does not hold (delta).

    Examples:
        >>> in_sequence([(0, 40), (1, 80), (30, 100), (0, 200)], risk=0.1, failure=0.05)
        2
    """
    for accepted, (wrong, trusted) in enumerate(counts):
        if p_value(wrong, trusted, risk) > failure:
            return accepted
    return len(counts)
