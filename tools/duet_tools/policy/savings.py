"""Fit the policy on one half of recorded questions, and count what it does to the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from duet_contract.calibration import Calibration
from duet_device.calibration.cases import Point
from duet_device.calibration.fitting import Goal
from duet_device.calibration.rows import Row, cases_of
from duet_device.calibration.study import halves, study
from duet_device.gate import probe_value
from duet_report.intervals import Interval, bootstrap_share, proportion
from duet_tools.files import SchemaFile, Strict

DIVISIONS = 3
"""Divisions of the questions into halves, each by another seed."""
POLICIES: Mapping[str, tuple[str, ...]] = {
    "gate": ("gate",),
    "stop": ("stop",),
    "gate and stop": ("gate", "stop"),
}
"""Decisions of each policy, by its name."""


class Saved(Strict):
    """What a policy does to the tested questions, over all divisions."""

    calls: Interval
    """Share of the questions for which the cloud is not asked."""
    tokens: Interval
    """Signal tokens, as a share of those of always asking."""
    difference: Interval
    """Share of right answers, less that of always asking; questions are drawn."""
    decided: int
    """Divisions with a threshold that does what is wanted; in the others, the cloud is always asked."""
    measures: tuple[str, ...]
    """Measures that were chosen, in the order of the divisions."""


class Wanted(Strict):
    """The policies that were fitted for one goal."""

    goal: str
    """As options of `duet-device calibrate`."""
    policies: dict[str, Saved]
    """By name."""


class Questions(Strict):
    """What was found on the questions of one file."""

    pair: str
    """`id@version` of the pair."""
    questions: int
    """Number of questions."""
    against: str
    """What counted as right when the thresholds were fitted: answers, or the cloud's."""
    never: Interval
    """Share of right answers without any signal."""
    always: Interval
    """The same with every signal."""
    tokens: float
    """Mean signal tokens a question, if the cloud is always asked."""
    wanted: tuple[Wanted, ...]
    """By goal."""


class PolicyResults(SchemaFile):
    """What the command writes."""

    kind = "file of policies"
    date: str
    """Day of the measurement."""
    commit: str | None
    """Commit of the repository."""
    failure: float
    """Probability that a guarantee does not hold (delta)."""
    sets: dict[str, Questions]
    """By name of the questions."""


@dataclass(frozen=True)
class _Ended:
    """A tested question with a policy, and without."""

    kept: Point | None
    """Where the device trusted itself; None if nowhere."""
    always: Point
    """With the whole signal."""
    called: bool
    """Whether the cloud was asked."""


def goals(risks: Sequence[float], savings: Sequence[float], failure: float) -> dict[str, Goal]:
    """Return goals by the options of `duet-device calibrate` that ask for them.

    Examples:
        >>> list(goals((0.1,), (0.4,), 0.05))
        ['--alpha 0.1', '--target saving 0.4']
    """
    by_risk = {f"--alpha {risk:g}": Goal(risk, failure) for risk in risks}
    return by_risk | {
        f"--target saving {share:g}": Goal(failure=failure, saving=share) for share in savings
    }


def measured(rows: Sequence[Row], wanted: Mapping[str, Goal], *, against_cloud: bool) -> Questions:
    """Return what each policy does to questions with answers.

    Args:
        rows: as `duet-device calibrate` records them.
        wanted: see `goals`.
        against_cloud: whether thresholds are fitted on agreement with the cloud's answer. What is
            measured is always against the data's answers.

    Raises:
        UsageProblem: rows without answers, or too few for the guarantee.
    """
    cases = cases_of(rows, {}, {}, against_cloud=False)["gate"]
    found = []
    for name, goal in wanted.items():
        calibrations = [
            study(rows, goal, data="rows", against_cloud=against_cloud, seed=seed).calibration
            for seed in range(DIVISIONS)
        ]
        policies = {
            policy: _saved(rows, calibrations, decisions) for policy, decisions in POLICIES.items()
        }
        found.append(Wanted(goal=name, policies=policies))
    count = len(rows)
    return Questions(
        pair=rows[0].pair,
        questions=count,
        against="cloud" if against_cloud else "answers",
        never=proportion(sum(case.points[0].right for case in cases), count),
        always=proportion(sum(case.otherwise.right for case in cases), count),
        tokens=sum(case.otherwise.tokens for case in cases) / count,
        wanted=tuple(found),
    )


def _saved(
    rows: Sequence[Row], calibrations: Sequence[Calibration], decisions: Sequence[str]
) -> Saved:
    """Count over the tested halves of all divisions; a question counts once for each of them."""
    at = {row.id: number for number, row in enumerate(rows)}
    sums = np.zeros((6, len(rows)))
    measures: list[str] = []
    decided = 0
    for seed, calibration in enumerate(calibrations):
        thresholds = [getattr(calibration, decision) for decision in decisions]
        measures += [each.measure for each in thresholds if each]
        decided += any(thresholds)
        test = halves(rows, seed)[1]
        for row, ended in zip(test, _ended(test, calibration, decisions), strict=True):
            given = ended.kept or ended.always
            sums[:, at[row.id]] += (
                1,
                not ended.called,
                given.tokens,
                ended.always.tokens,
                given.right,
                ended.always.right,
            )
    tested, local, spent, whole, right, always = sums[:, sums[0] > 0]
    return Saved(
        calls=bootstrap_share(local, tested),
        tokens=bootstrap_share(spent, whole),
        difference=bootstrap_share(right - always, tested),
        decided=decided,
        measures=tuple(measures),
    )


def _ended(test: Sequence[Row], calibration: Calibration, decisions: Sequence[str]) -> list[_Ended]:
    """Replay the decisions of a calibration, the gate before the stop."""
    probed = (
        {row.id: probe_value(calibration, row.vector) for row in test} if calibration.probe else {}
    )
    cases = cases_of(test, probed, {}, against_cloud=False)
    found = []
    for gate, stop in zip(cases["gate"], cases["stop"], strict=True):
        local = gate.kept_by(calibration.gate) if "gate" in decisions else None
        kept = local or (stop.kept_by(calibration.stop) if "stop" in decisions else None)
        found.append(_Ended(kept, gate.otherwise, called=local is None))
    return found
