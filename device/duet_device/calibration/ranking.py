"""How well a measure separates right answers from wrong ones: AURC, AUROC, ECE."""

from collections.abc import Sequence
from itertools import groupby

Judged = tuple[float, bool]
"""A measure's value and whether the answer was right."""


def aurc(judged: Sequence[Judged]) -> float:
    """Return the area under the risk-coverage curve: the mean share of wrong answers over all
    shares of questions that are kept, the surest first. Equal values count as in random order.

    Examples:
        >>> aurc([(0.9, True), (0.5, True), (0.1, False)])
        0.1111111111111111
    """
    total, wrong, kept = 0.0, 0.0, 0
    for _, group in _groups(judged):
        share = sum(not right for right in group) / len(group)
        for _ in group:
            wrong, kept = wrong + share, kept + 1
            total += wrong / kept
    return total / kept if kept else 0.0


def auroc(judged: Sequence[Judged]) -> float | None:
    """Return how probable it is that a right answer has a higher value than a wrong one.

    Equal values count half. None if all answers are right, or all wrong.

    Examples:
        >>> auroc([(0.9, True), (0.5, False), (0.5, True), (0.1, False)])
        0.875
    """
    above, rights, wrongs = 0.0, 0, 0
    for _, group in _groups(judged):
        right = sum(group)
        wrong = len(group) - right
        above += wrong * (rights + right / 2)
        rights, wrongs = rights + right, wrongs + wrong
    return above / (rights * wrongs) if rights and wrongs else None


def ece(chances: Sequence[Judged], bins: int = 10) -> float:
    """Return the expected calibration error over bins of about equal numbers of answers.

    Args:
        chances: the stated probability that an answer is right, and whether it was. Answers of
            one probability are in one bin.
        bins: most bins.

    Examples:
        >>> ece([(0.5, True), (0.5, False), (1.0, True)])
        0.0
    """
    total, error, count = 0.0, 0.0, 0
    for stated, group in _groups(chances):
        error += stated * len(group) - sum(group)
        count += len(group)
        if count * bins >= len(chances):
            total, error, count = total + abs(error), 0.0, 0
    return (total + abs(error)) / len(chances) if chances else 0.0


def isotonic(judged: Sequence[Judged]) -> list[tuple[float, float]]:
    """Fit the probability of a right answer as a rising function of the measure.

    By pooling adjacent violators.

    Returns:
        Knots of value and probability; it is constant between a knot and the next one.

    Examples:
        >>> isotonic([(0.1, False), (0.2, True), (0.3, False), (0.4, True)])
        [(0.1, 0.0), (0.2, 0.5), (0.4, 1.0)]
    """
    pools: list[tuple[float, float, int]] = []
    for value, group in reversed(list(_groups(judged))):
        pools.append((value, float(sum(group)), len(group)))
        while len(pools) > 1 and pools[-2][1] * pools[-1][2] >= pools[-1][1] * pools[-2][2]:
            _, right, count = pools.pop()
            pools[-1] = (pools[-1][0], pools[-1][1] + right, pools[-1][2] + count)
    return [(value, right / count) for value, right, count in pools]


def _groups(judged: Sequence[Judged]) -> list[tuple[float, list[bool]]]:
    """Return the answers of each value, the highest value first."""
    ordered = sorted(judged, key=lambda each: -each[0])
    return [
        (value, [right for _, right in group])
        for value, group in groupby(ordered, key=lambda each: each[0])
    ]
