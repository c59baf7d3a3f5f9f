"""Two reports against each other: ratios with intervals, and which differences are noise.

Where both runs asked the same questions, questions are drawn in pairs. The intervals say how far
other questions would have given another result; they do not hold what differs between two runs of
the same thing, such as a machine that was busier.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from duet_report.intervals import Interval, difference_of_means, ratio_of_medians
from duet_report.numbers import points
from duet_report.tables import aligned
from duet_tools.errors import UsageProblem
from duet_tools.report.verdicts import series
from duet_tools.results.report import ConditionReport, Report

# Each with what is better: less, more, or neither.
COMPARED: dict[str, Literal["less", "more"]] = {
    "first_signal_ms": "less",
    "first_answer_ms": "less",
    "total_ms": "less",
    "large_tokens": "less",
    "wire_up": "less",
    "wire_down": "less",
    "correct": "more",
}
_FEWEST = 5
Verdict = Literal["better", "worse", "noise", "too few"]


@dataclass(frozen=True)
class Difference:
    """A metric of a condition in both runs.

    It compares medians by their ratio B / A, and means of `correct` by B - A.
    """

    condition: str
    """Id of the condition."""
    metric: str
    """Name of the metric."""
    a: float
    """Median or mean in run A."""
    b: float
    """Median or mean in run B."""
    interval: Interval | None
    """Ratio or difference with its interval; None if there are too few questions."""
    questions: int
    """Number of questions that were compared."""
    paired: bool
    """Whether both runs asked the same questions, which are compared one by one."""
    verdict: Verdict
    """What the interval says of the difference."""


def compare(a: Report, b: Report) -> list[Difference]:
    """Return every metric that both reports have of a condition.

    Raises:
        UsageProblem: they have no condition in common, or one of them lacks the questions' values.
    """
    theirs = {measured.id: measured for measured in b.conditions}
    shared = [(measured, theirs[measured.id]) for measured in a.conditions if measured.id in theirs]
    if not shared:
        raise UsageProblem("these reports have no mode, link and load in common")
    paired = a.settings.data_sha256 == b.settings.data_sha256
    differences = [
        found
        for mine, other in shared
        for metric in COMPARED
        if (found := _difference(mine, other, metric, paired))
    ]
    if not differences:
        raise UsageProblem("there is nothing to compare: a report lacks its questions' values")
    return differences


def comparison_table(a: Report, b: Report, differences: list[Difference]) -> str:
    """For a terminal."""
    head = ["condition", "metric", "A", "B", "B / A (95% CI)", "questions", "verdict"]
    titles = (
        f"{name}: {each.pair}, {each.commit or 'unknown commit'}, {each.date}"
        for name, each in (("A", a), ("B", b))
    )
    return "\n".join([*titles, "", aligned(head, [row(each) for each in differences])])


def row(difference: Difference) -> tuple[str, ...]:
    """Return a line of a table. Differences of `correct` are in points."""
    share = difference.metric == "correct"
    interval = difference.interval
    if interval is None:
        said = ""
    elif share:
        said = points(interval)
    else:
        said = f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"
    cells = (f"{100 * v:.1f}%" if share else f"{v:.4g}" for v in (difference.a, difference.b))
    questions = f"{difference.questions}{' pairs' if difference.paired else ''}"
    return (difference.condition, difference.metric, *cells, said, questions, difference.verdict)


def _difference(
    a: ConditionReport, b: ConditionReport, metric: str, paired: bool
) -> Difference | None:
    mine, theirs = series(a, metric), series(b, metric)
    together = paired and len(mine) == len(theirs)
    if together:
        both = ~(np.isnan(mine) | np.isnan(theirs))
        mine, theirs = mine[both], theirs[both]
    else:
        mine, theirs = mine[~np.isnan(mine)], theirs[~np.isnan(theirs)]
    count = min(len(mine), len(theirs))
    if not count:
        return None
    share = metric == "correct"
    middle = np.mean if share else np.median
    interval, neutral = None, 0.0 if share else 1.0
    if count >= _FEWEST:
        measure = difference_of_means if share else ratio_of_medians
        interval = measure(theirs, mine, paired=together)
    verdict = _verdict(metric, interval, neutral)
    if interval is None and count >= _FEWEST and bool((mine == 0).all() and (theirs == 0).all()):
        # Zero over zero has no ratio, and the runs do not differ.
        verdict = "noise"
    return Difference(
        condition=a.id,
        metric=metric,
        a=float(middle(mine)),
        b=float(middle(theirs)),
        interval=interval,
        questions=count,
        paired=together,
        verdict=verdict,
    )


def _verdict(metric: str, interval: Interval | None, neutral: float) -> Verdict:
    if interval is None:
        return "too few"
    if interval.low <= neutral <= interval.high:
        return "noise"
    less = interval.value < neutral
    return "better" if less == (COMPARED[metric] == "less") else "worse"
