"""Choose a decision's measure and threshold on one half of the questions, test it on the other."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from duet_contract.calibration import Threshold, chance_at
from duet_device.calibration.cases import Case, Replay, judged, measures_of, replay
from duet_device.calibration.guarantee import in_sequence, most_wrong, needed, p_value
from duet_device.calibration.ranking import Judged, aurc, auroc, ece, isotonic

_CANDIDATES = 40


@dataclass(frozen=True)
class Goal:
    """What is wanted of a decision."""

    risk: float = 0.1
    """Share of wrong answers among the trusted ones that is allowed (alpha)."""
    failure: float = 0.05
    """Probability that the true share is above that (delta)."""
    saving: float | None = None
    """Share of signal tokens to save at least, whatever the risk is then; of answers to trust, where
    a decision saves no tokens. None: as much as `risk` allows."""

    def __str__(self) -> str:
        if self.saving is not None:
            return f"to save {self.saving:.3g} of the signal tokens"
        return f"at most {self.risk:.3g} of the trusted answers wrong"

    def rows(self) -> int:
        """Return how many test questions the guarantee needs, all trusted and all right."""
        return 1 if self.saving is not None else needed(self.risk, self.failure)


@dataclass(frozen=True)
class Ranked:
    """How well one measure separates right answers from wrong ones."""

    measure: str
    """Its name."""
    fit_aurc: float
    """Area under the risk-coverage curve on the half that chooses; less is better."""
    test_aurc: float
    """The same on the other half."""
    test_auroc: float | None
    """AUROC on that half; None if all answers are right, or all wrong."""
    test_ece: float
    """Expected calibration error on that half of the probabilities fitted on the first."""
    usable: bool
    """Whether the policy can compute it in time; others are for comparison."""


@dataclass(frozen=True)
class Fitted:
    """A decision, fitted."""

    ranked: tuple[Ranked, ...]
    """Every measure, the best first."""
    threshold: Threshold | None
    """None if no threshold keeps what was asked."""
    test: Replay | None
    """What the threshold does to the test questions."""
    most_trusted: Replay | None = None
    """Without a threshold: what the most promising one does to the test questions."""
    curve: tuple[Replay, ...] = field(default=(), repr=False)
    """What every candidate does to the test questions, the strictest first."""

    def __str__(self) -> str:
        threshold, result = self.threshold, self.test
        if threshold is None or result is None:
            near = self.most_trusted
            if near is None or not near.trusted:
                return "no threshold reaches the goal"
            return (
                f"no threshold reaches the goal (the likeliest has {near.wrong} wrong of "
                f"{near.trusted})"
            )
        said = (
            f"trusts {threshold.measure} of {threshold.at_least:.4g} and more: "
            f"{threshold.trusted:.0%} of the questions, {threshold.right:.1%} of them right, at "
            f"least {1 - threshold.risk:.1%} with probability {1 - threshold.failure:.3g}"
        )
        if result.saved > 0:
            said += f"; {result.tokens:.1f} signal tokens in place of {result.untrusting:.1f}"
        return said


def fit(
    first: Sequence[Case],
    test: Sequence[Case],
    goal: Goal,
    compared: frozenset[str] = frozenset(),
    *,
    saves_tokens: bool = False,
) -> Fitted | None:
    """Fit one decision.

    Args:
        first: the half that chooses measure and candidates.
        test: the half that the guarantee rests on.
        goal: what is wanted.
        compared: measures that are only compared.
        saves_tokens: whether trust saves signal tokens, so that `Goal.saving` means those.

    Returns:
        None if there is nothing to decide by.
    """
    ranked = sorted(
        (_rank(name, first, test, usable=name not in compared) for name in measures_of(first)),
        key=lambda each: each.fit_aurc,
    )
    best = next((each.measure for each in ranked if each.usable), None)
    if best is None or not test:
        return None
    values = judged(first, best)
    candidates = _candidates(values)
    seen = [replay(first, best, each) for each in candidates]
    curve = tuple(replay(test, best, each) for each in candidates)
    if goal.saving is None:
        chosen, nearest = _guaranteed(seen, curve, goal)
        risk = goal.risk
    else:
        gains = [each.saved if saves_tokens else each.share for each in seen]
        chosen = next((at for at, gain in enumerate(gains) if gain >= goal.saving), None)
        nearest = len(candidates) - 1 if chosen is None else chosen
        risk = most_wrong(curve[nearest].wrong, curve[nearest].trusted, goal.failure)
    if chosen is None:
        return Fitted(tuple(ranked), None, None, curve[nearest], curve)
    result = curve[chosen]
    threshold = Threshold(
        measure=best,
        at_least=candidates[chosen],
        risk=risk,
        failure=goal.failure,
        trusted=result.share,
        right=1 - result.wrong / result.trusted if result.trusted else 0.0,
        signal_tokens=result.tokens,
        # The guarantee does not rest on these: all questions count.
        chances=tuple(isotonic(_finite([*values, *judged(test, best)]))),
    )
    return Fitted(tuple(ranked), threshold, result, curve=curve)


def _guaranteed(
    first: Sequence[Replay], test: Sequence[Replay], goal: Goal
) -> tuple[int | None, int]:
    """Return which candidate trusts most of those that keep the guarantee, and the likeliest."""

    def promise(at: int) -> tuple[float, int]:
        return p_value(first[at].wrong, first[at].trusted, goal.risk), -at

    order = sorted(range(len(first)), key=promise)
    counts = [(test[at].wrong, test[at].trusted) for at in order]
    accepted = order[: in_sequence(counts, goal.risk, goal.failure)]
    return max(accepted, default=None), order[0]


def _rank(name: str, first: Sequence[Case], test: Sequence[Case], *, usable: bool) -> Ranked:
    fitted, tested = judged(first, name), judged(test, name)
    knots = isotonic(_finite(fitted))
    stated = [(chance_at(knots, value), right) for value, right in tested]
    return Ranked(name, aurc(fitted), aurc(tested), auroc(tested), ece(stated), usable)


def _finite(values: Sequence[Judged]) -> list[Judged]:
    return [each for each in values if each[0] != float("-inf")]


def _candidates(values: Sequence[Judged]) -> list[float]:
    """Return thresholds at even shares of the values, the strictest first."""
    distinct = sorted((value for value, _ in _finite(values)), reverse=True)
    picked = {
        distinct[min(len(distinct) - 1, (at * len(distinct)) // _CANDIDATES)]
        for at in range(1, _CANDIDATES + 1)
    }
    return sorted(picked, reverse=True)
