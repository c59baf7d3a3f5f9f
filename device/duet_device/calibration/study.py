"""Fit every decision from rows: probe, measures, thresholds, and what they would have done."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from duet_contract.calibration import CALIBRATION_SCHEMA, Calibration, Decision, Judge, Probe
from duet_device.calibration.cases import Case
from duet_device.calibration.fitting import Fitted, Goal, fit
from duet_device.calibration.ranking import aurc
from duet_device.calibration.regression import PENALTIES, held_out
from duet_device.calibration.regression import fit as fit_probe
from duet_device.calibration.rows import Row, answered_alone, answered_fully, cases_of
from duet_device.errors import UsageProblem

# With fewer questions in the half that fits it, a probe learns nothing.
_LEAST_FOR_PROBE = 40
# Needs several signals, which the policy has only after it asked for more.
_COMPARED: Mapping[Decision, frozenset[str]] = {
    "more": frozenset({"agreement"}),
    "mark": frozenset({"agreement"}),
}


@dataclass(frozen=True)
class Tradeoff:
    """What a policy reaches on the test questions, and for how many signal tokens."""

    accuracy: float
    """Share of right answers."""
    tokens: float
    """Mean signal tokens a question."""


@dataclass(frozen=True)
class Study:
    """All that was found."""

    calibration: Calibration
    """What the device needs of it."""
    fitted: Mapping[Decision, Fitted]
    """Each decision."""
    tested: int
    """Test questions."""
    baselines: Mapping[str, Tradeoff]
    """`never` and `always` ask the cloud."""
    oracle: tuple[Tradeoff, ...]
    """What a gate that knows every answer would do, from never to always."""
    together: Tradeoff
    """The gate and the stop that were fitted, one after the other."""

    def as_json(self) -> dict[str, Any]:
        """Return the figures, without the probe's weights."""
        return {
            "calibration": self.calibration.model_dump(
                mode="json", by_alias=True, exclude={"probe"}, exclude_none=True
            ),
            "tested": self.tested,
            "measures": {
                decision: [vars(each) for each in fitted.ranked]
                for decision, fitted in self.fitted.items()
            },
            "curves": {
                decision: [
                    {"tokens": each.tokens, "accuracy": each.accuracy, "trusted": each.share}
                    for each in fitted.curve
                ]
                for decision, fitted in self.fitted.items()
            },
            "baselines": {name: vars(each) for name, each in self.baselines.items()},
            "oracle": [vars(each) for each in self.oracle],
            "together": vars(self.together),
        }


def study(
    rows: Sequence[Row],
    goal: Goal,
    *,
    data: str,
    against_cloud: bool = False,
    seed: int = 0,
    decisions: frozenset[str] = frozenset(get_args(Decision)),
    goals: Mapping[str, Goal] | None = None,
) -> Study:
    """Fit on one half of the rows, test on the other.

    Args:
        rows: of one pair and one decoder file.
        goal: what is wanted of every decision that `goals` does not name.
        data: name of the data.
        against_cloud: see `cases_of`.
        seed: of the division into halves.
        decisions: those that are fitted.
        goals: what is wanted of single decisions.

    Raises:
        UsageProblem: rows without answers, or too few for the guarantee.
    """
    missing = [] if against_cloud else [row.id for row in rows if row.answer is None]
    wanted = dict.fromkeys(decisions, goal) | dict(goals or {})
    check_rows(len(rows), missing, [wanted[each] for each in decisions], data)
    first, test = halves(rows, seed)
    probe, probed = _probe(first, test, against_cloud=against_cloud)
    judge, judged = (None, {}) if against_cloud else _judge(first, test)
    fit_cases = cases_of(first, probed, judged, against_cloud=against_cloud)
    test_cases = cases_of(test, probed, judged, against_cloud=against_cloud)
    fitted = {
        decision: found
        for decision in fit_cases
        if decision in decisions
        and (
            found := fit(
                fit_cases[decision],
                test_cases[decision],
                wanted[decision],
                _COMPARED.get(decision, frozenset()),
                saves_tokens=decision in ("gate", "stop"),
            )
        )
    }
    thresholds = {decision: found.threshold for decision, found in fitted.items()}
    gate = thresholds.get("gate")
    calibration = Calibration(
        schema=CALIBRATION_SCHEMA,
        pair=rows[0].pair,
        decoder_sha256=rows[0].decoder_sha256,
        data=data,
        against="cloud" if against_cloud else "answers",
        questions=len(rows),
        tokens=sum(row.full.tokens for row in rows) / len(rows),
        probe=probe if gate and gate.measure == "probe" else None,
        judge=judge
        if any(each and each.measure == "judge" for each in thresholds.values())
        else None,
        **thresholds,
    )
    return Study(
        calibration=calibration,
        fitted=fitted,
        tested=len(test),
        baselines=_baselines(test_cases["gate"]),
        oracle=_oracle(test_cases["gate"]),
        together=_together(test_cases, calibration),
    )


def halves(rows: Sequence[Row], seed: int) -> tuple[list[Row], list[Row]]:
    """Return the half that fits and the half that tests; the same for rows in any order."""
    ordered = sorted(rows, key=lambda row: sha256(f"{seed} {row.id}".encode()).digest())
    half = len(ordered) // 2
    return ordered[:half], ordered[half:]


def check_rows(count: int, missing: Sequence[str], goals: Sequence[Goal], data: str) -> None:
    """Refuse data without answers, or with too few questions for what is wanted.

    Args:
        count: questions.
        missing: ids of those that have no answer and need one.
        goals: what is wanted of the decisions.
        data: name of the data.

    Raises:
        UsageProblem: says how many it needs.
    """
    if missing:
        raise UsageProblem(
            f"{len(missing)} of {count} questions of {data} have no answer (the first: id "
            f'{missing[0]}): give each an "answer", or calibrate without answers: --against-cloud'
        )
    goal = max(goals, key=Goal.rows)
    least = max(4, 2 * goal.rows())
    if count < least:
        raise UsageProblem(
            f"{data} has {count} questions, and a guarantee of {1 - goal.risk:.3g} right with "
            f"probability {1 - goal.failure:.3g} needs {least} at least: give more, or raise "
            "--alpha or --delta"
        )


def _probe(
    first: Sequence[Row], test: Sequence[Row], *, against_cloud: bool
) -> tuple[Probe | None, dict[str, float]]:
    """Return the gate's probe and its values."""
    return _linear(
        {row.id: row.vector for row in first},
        answered_alone(first, against_cloud=against_cloud),
        {row.id: row.vector for row in test},
    )


def _judge(first: Sequence[Row], test: Sequence[Row]) -> tuple[Judge | None, dict[str, float]]:
    """Return a judge of answers from whole signals, and its values.

    It weighs the features that most answers have; an answer that lacks one has no value.
    """
    counts = Counter(name for row in first for name in row.full.features)
    names = [name for name, count in counts.items() if 2 * count > len(first)]

    def vectors(rows: Sequence[Row]) -> dict[str, NDArray[np.float64]]:
        features = {row.id: row.full.features for row in rows}
        return {
            id_: np.array([each[name] for name in names])
            for id_, each in features.items()
            if each.keys() >= set(names)
        }

    known = vectors(first) if names else {}
    right = answered_fully([row for row in first if row.id in known])
    probe, values = _linear(known, right, vectors(test))
    if probe is None:
        return None, {}
    return Judge(features=tuple(names), weights=probe.weights, bias=probe.bias), values


def _linear(
    first: Mapping[str, NDArray[Any]], right: Sequence[bool], test: Mapping[str, NDArray[Any]]
) -> tuple[Probe | None, dict[str, float]]:
    """Fit a probe on vectors by id, and return its values of all of them.

    Those of the first half are of probes that were fitted without the question.
    """
    if len(first) < _LEAST_FOR_PROBE or len(set(right)) < 2:
        return None, {}
    states = np.stack(list(first.values())).astype(np.float64)

    def error(penalty: float) -> float:
        return aurc(list(zip(held_out(states, right, penalty), right, strict=True)))

    penalty = min(PENALTIES, key=error)
    probe = fit_probe(states, right, penalty)
    values = dict(zip(first, held_out(states, right, penalty), strict=True))
    weights = np.asarray(probe.weights)
    values |= {id_: float(weights @ vector) + probe.bias for id_, vector in test.items()}
    return probe, values


def _baselines(cases: Sequence[Case]) -> dict[str, Tradeoff]:
    count = len(cases)
    never = sum(case.points[0].right for case in cases) / count
    always = sum(case.otherwise.right for case in cases) / count
    tokens = sum(case.otherwise.tokens for case in cases) / count
    return {"never": Tradeoff(never, 0.0), "always": Tradeoff(always, tokens)}


def _oracle(cases: Sequence[Case]) -> tuple[Tradeoff, ...]:
    """Ask first where the cloud alone makes the answer right, last where it makes it wrong."""

    def gain(case: Case) -> tuple[int, float]:
        return int(case.points[0].right) - int(case.otherwise.right), case.otherwise.tokens

    count = len(cases)
    right, tokens = sum(case.points[0].right for case in cases), 0.0
    found = [Tradeoff(right / count, 0.0)]
    for case in sorted(cases, key=gain):
        right += int(case.otherwise.right) - int(case.points[0].right)
        tokens += case.otherwise.tokens
        found.append(Tradeoff(right / count, tokens / count))
    return tuple(found)


def _together(cases: Mapping[Decision, Sequence[Case]], calibration: Calibration) -> Tradeoff:
    ended = [
        gate.kept_by(calibration.gate) or stop.kept_by(calibration.stop) or gate.otherwise
        for gate, stop in zip(cases["gate"], cases["stop"], strict=True)
    ]
    count = len(ended)
    return Tradeoff(
        sum(point.right for point in ended) / count, sum(point.tokens for point in ended) / count
    )


def random_accuracy(baselines: Mapping[str, Tradeoff], tokens: float) -> float:
    """Return the accuracy of asking at random with so many mean signal tokens."""
    never, always = baselines["never"], baselines["always"]
    share = min(1.0, tokens / always.tokens) if always.tokens else 1.0
    return never.accuracy + share * (always.accuracy - never.accuracy)
