"""Figures of marks and of further signals, from judged answers."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import numpy as np

from duet_contract.calibration import chance_at
from duet_device.calibration.ranking import auroc, ece, isotonic
from duet_report.intervals import Interval, difference_of_means, proportion
from duet_tools.files import Strict
from duet_tools.marks.answers import JudgedAnswer, of_all, with_rounds

RESAMPLES = 1000
_DIVISIONS = 3
ROUNDS = (2, 3, 5)
TOGETHER = (3, 5)

Tries = list[JudgedAnswer]
_Figure = TypeVar("_Figure")


class Marks(Strict):
    """How good the marks of a set's answers are."""

    questions: int
    """Answers from the greedy signal."""
    right: Interval
    """Share of them that is right."""
    auroc: Interval | None
    """Of the measure that marks; answers that it cannot judge count as the least sure."""
    ece: float | None
    """Expected calibration error of the probability that the receipt states."""
    ece_refitted: tuple[float, ...]
    """The same on half of the set, of probabilities fitted on the other half: of three divisions."""
    marked: float
    """Share of answers that the device marks."""
    right_unmarked: Interval | None
    """Share of right answers among the others."""
    right_surer_half: Interval
    """The same if the less sure half of the set is marked."""
    gain: float | None
    """That share, divided by the share of all answers."""


class Strategy(Strict):
    """One way to use further signals to a question, against the greedy signal."""

    right: float
    """Share of right answers, over all trials."""
    tokens: float
    """Mean signal tokens a question."""
    gain: Interval
    """Difference to the greedy answers to the same questions."""
    trials: tuple[float, ...]
    """Share of right answers of each trial."""


class MarksReport(Strict):
    """What the command writes."""

    schema_version: int = 1
    """Version of the file's format."""
    date: str
    """Day of the measurement, as ISO 8601 writes it."""
    commit: str | None
    """Commit of the repository; None: unknown."""
    pair: str
    """The pair, as id@version."""
    calibration_sha256: str
    """SHA-256 of the pair's calibration."""
    fitted_on: str
    """Questions that the calibration was fitted on."""
    temperature: float
    """Sampling temperature of signals that are not greedy."""
    marks: dict[str, Marks]
    """By set, and `real` for all sets that were given by a file together."""
    further: dict[str, dict[str, Strategy]]
    """By set, then by way."""


def marks_of(answers: Sequence[JudgedAnswer]) -> Marks:
    """Return the figures of answers from greedy signals; there must be one at least."""
    count, right = len(answers), sum(each.right for each in answers)
    judged = [(_score(each), each.right) for each in answers]
    chances = [(each.chance, each.right) for each in answers if each.chance is not None]
    unmarked = [each.right for each in answers if not each.marked]
    order = sorted(range(count), key=lambda at: -judged[at][0])
    half = [answers[at].right for at in order[: max(1, count // 2)]]
    surer, every = proportion(sum(half), len(half)), proportion(right, count)
    return Marks(
        questions=count,
        right=every,
        auroc=_auroc(judged),
        ece=ece(chances) if chances else None,
        ece_refitted=tuple(_refitted(judged, seed) for seed in range(_DIVISIONS)),
        marked=1 - len(unmarked) / count,
        right_unmarked=proportion(sum(unmarked), len(unmarked)) if unmarked else None,
        right_surer_half=surer,
        gain=surer.value / every.value if right else None,
    )


def ways_of(questions: Sequence[Tries]) -> dict[str, Strategy]:
    """Return what each way does.

    Args:
        questions: of each the greedy answer, then sampled ones; a trial takes as many of these as
            the way needs, and no other trial of it the same.
    """
    sampled = min(map(len, questions)) - 1
    greedy = [(tries[0].right, tries[0].tokens) for tries in questions]
    made = {"greedy": _way([greedy], greedy)}
    ways: list[tuple[str, int, Callable[[Tries], tuple[bool, int]]]] = [
        *((f"rounds {count}", count, partial(with_rounds, rounds=count)) for count in ROUNDS),
        *((f"agreement of {count}", count, of_all) for count in TOGETHER),
        *((f"surest of {count}", count, _surest) for count in TOGETHER),
    ]
    for name, count, choose in ways:
        if trials := _trials(sampled, count - 1):
            answered = [
                [choose([tries[0], *(tries[number] for number in at)]) for tries in questions]
                for at in trials
            ]
            made[name] = _way(answered, greedy)
    return made


def _surest(tries: Tries) -> tuple[bool, int]:
    given = max(tries, key=_score)
    return given.right, sum(each.tokens for each in tries)


def _trials(sampled: int, count: int) -> list[range]:
    """Return the samples of up to three trials, none of which share one.

    Examples:
        >>> _trials(9, 3), _trials(9, 5)
        ([range(1, 4), range(4, 7), range(7, 10)], [range(1, 6)])
    """
    return [range(1 + at * count, 1 + (at + 1) * count) for at in range(min(3, sampled // count))]


def _way(
    trials: Sequence[Sequence[tuple[bool, int]]], greedy: Sequence[tuple[bool, int]]
) -> Strategy:
    right = np.array([[float(each) for each, _ in trial] for trial in trials])
    tokens = np.array([[spent for _, spent in trial] for trial in trials])
    base = np.array([float(each) for each, _ in greedy])
    return Strategy(
        right=float(right.mean()),
        tokens=float(tokens.mean()),
        gain=difference_of_means(right.mean(axis=0), base, paired=True),
        trials=tuple(map(float, right.mean(axis=1))),
    )


def _auroc(judged: Sequence[tuple[float, bool]]) -> Interval | None:
    value = auroc(judged)
    if value is None:
        return None
    rng = np.random.default_rng(0)
    drawn = [
        auroc([judged[at] for at in rng.integers(len(judged), size=len(judged))])
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile([each for each in drawn if each is not None], [0.025, 0.975])
    return Interval(value=value, low=float(low), high=float(high))


def _refitted(judged: Sequence[tuple[float, bool]], seed: int) -> float:
    order = np.random.default_rng(seed).permutation(len(judged))
    first, second = ([judged[at] for at in half] for half in np.array_split(order, 2))
    knots = isotonic(first)
    stated = [(chance_at(knots, value), right) for value, right in second]
    return ece(stated)


def _score(answered: JudgedAnswer) -> float:
    return float("-inf") if answered.score is None else answered.score


def of_sets(
    tries: Mapping[str, Sequence[Tries]],
    real: Sequence[str],
    figure: Callable[[list[Tries]], _Figure],
) -> dict[str, _Figure]:
    """Apply a figure to each set, and to all real ones together as `real`."""
    found = {name: figure(list(each)) for name, each in tries.items()}
    together = [one for name in real for one in tries.get(name, ())]
    return {**found, "real": figure(together)} if together else found
