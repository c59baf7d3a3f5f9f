"""What each decision of the policy would have done, replayed from recorded rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from duet_contract.calibration import Threshold


@dataclass(frozen=True)
class Point:
    """A moment at which the device may trust itself."""

    values: Mapping[str, float]
    """Every measure at that moment."""
    right: bool
    """Whether its answer is right."""
    tokens: float
    """Signal tokens spent until then."""


@dataclass(frozen=True)
class Case:
    """One question, as one decision sees it."""

    points: tuple[Point, ...]
    """In order; the device keeps the answer of the first one that it trusts."""
    otherwise: Point
    """What it has if it trusts none."""

    def kept(self, measure: str, at_least: float) -> Point | None:
        """Return the first point whose value is high enough; None if there is no such point."""
        return next((each for each in self.points if value_of(each, measure) >= at_least), None)

    def kept_by(self, threshold: Threshold | None) -> Point | None:
        """Return the first point that a threshold trusts; None without such a point or threshold."""
        return self.kept(threshold.measure, threshold.at_least) if threshold else None


@dataclass(frozen=True)
class Replay:
    """What a threshold does to questions."""

    questions: int
    """All of them."""
    trusted: int
    """Of which the device trusts itself with so many."""
    wrong: int
    """Wrong answers among those."""
    right: int
    """Right answers to all questions."""
    tokens: float
    """Mean signal tokens a question."""
    untrusting: float
    """Mean signal tokens a question if the device trusted itself with none."""

    @property
    def saved(self) -> float:
        """Share of signal tokens that trust saves."""
        return 1 - self.tokens / self.untrusting if self.untrusting else 0.0

    @property
    def accuracy(self) -> float:
        """Share of right answers to all questions."""
        return self.right / self.questions

    @property
    def share(self) -> float:
        """Share of questions that the device answers without the cloud."""
        return self.trusted / self.questions


def replay(cases: Sequence[Case], measure: str, at_least: float) -> Replay:
    """Replay questions with a threshold; there must be at least one."""
    kept = [case.kept(measure, at_least) for case in cases]
    ended = [point or case.otherwise for case, point in zip(cases, kept, strict=True)]
    trusted = [point for point in kept if point]
    return Replay(
        questions=len(cases),
        trusted=len(trusted),
        wrong=sum(not point.right for point in trusted),
        right=sum(point.right for point in ended),
        tokens=sum(point.tokens for point in ended) / len(cases),
        untrusting=sum(case.otherwise.tokens for case in cases) / len(cases),
    )


def judged(cases: Sequence[Case], measure: str) -> list[tuple[float, bool]]:
    """Return a measure's value and whether the answer was right, at every point."""
    return [(value_of(point, measure), point.right) for case in cases for point in case.points]


def measures_of(cases: Sequence[Case]) -> list[str]:
    """Return the measures that most points have, in their order."""
    counts: dict[str, int] = {}
    points = list(_points(cases))
    for point in points:
        for name in point.values:
            counts[name] = counts.get(name, 0) + 1
    return [name for name, count in counts.items() if 2 * count > len(points)]


def value_of(point: Point, measure: str) -> float:
    """Return a measure's value; the lowest there is where it cannot be computed."""
    return point.values.get(measure, float("-inf"))


def _points(cases: Sequence[Case]) -> Iterator[Point]:
    for case in cases:
        yield from case.points
