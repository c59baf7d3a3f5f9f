"""A study of rows: probe, thresholds of each decision, baselines, and what cannot be decided."""

import random

import pytest

from duet_device.calibration.fitting import Goal
from duet_device.calibration.rows import Outcome
from duet_device.calibration.study import random_accuracy, study
from duet_device.errors import UsageProblem
from tests.doubles.recorded_rows import made

GOAL = Goal(risk=0.15, failure=0.1)


def test_the_probe_is_found_and_the_policy_saves_what_it_says() -> None:
    rows = made(240)
    found = study(rows, GOAL, data="made")
    gate, stop = found.calibration.gate, found.calibration.stop
    assert gate
    assert gate.measure == "probe"
    assert gate.trusted == pytest.approx(0.5, abs=0.15)
    assert gate.right > 0.9
    assert found.calibration.probe
    assert len(found.calibration.probe.weights) == 2
    assert stop
    assert stop.trusted == 1
    assert found.calibration.tokens == 24
    assert found.fitted["gate"].ranked[0].measure == "probe"
    auroc = {each.measure: each.test_auroc for each in found.fitted["gate"].ranked}
    assert auroc["probe"]
    assert auroc["margin"]
    assert auroc["probe"] > 0.9 > 0.65 > auroc["margin"]
    never, always = found.baselines["never"], found.baselines["always"]
    assert (always.accuracy, always.tokens) == (1, 24)
    assert found.oracle[0] == never
    assert found.oracle[-1].accuracy == always.accuracy
    assert max(found.oracle, key=lambda each: each.accuracy).tokens <= always.tokens
    # Half of the questions stay, and of the others half end early: 0.5 * (8 + 16) / 2.
    assert found.together.tokens == pytest.approx(6, abs=2)
    assert found.together.accuracy > 0.9
    assert random_accuracy(found.baselines, 12) == pytest.approx((never.accuracy + 1) / 2)


def test_the_halves_are_the_same_for_a_seed_and_a_file_in_any_order() -> None:
    rows = made(120)
    first = study(rows, GOAL, data="made").calibration
    assert study(rows[::-1], GOAL, data="made").calibration == first
    assert study(rows, GOAL, data="made", seed=1).calibration != first


def test_against_the_cloud_its_answer_is_right() -> None:
    rows = [row.model_copy(update={"answer": None}) for row in made(120)]
    with pytest.raises(UsageProblem, match="--against-cloud"):
        study(rows, GOAL, data="made")
    found = study(rows, GOAL, data="made", against_cloud=True)
    assert found.calibration.against == "cloud"
    assert found.baselines["always"].accuracy == 1
    assert set(found.fitted) == {"gate", "stop"}


def test_agreement_of_several_signals_is_compared_and_not_chosen() -> None:
    found = study(made(120), GOAL, data="made").fitted["more"]
    usable = {each.measure: each.usable for each in found.ranked}
    assert usable == {"margin": True, "agreement": False}
    assert found.threshold
    assert found.threshold.measure == "margin"


def test_a_saving_is_of_tokens_where_trust_saves_some() -> None:
    found = study(made(240), Goal(saving=0.3), data="made")
    gate, stop = found.fitted["gate"].test, found.fitted["stop"].test
    assert gate
    assert stop
    assert gate.saved == pytest.approx(0.35, abs=0.1)
    # Ending every signal after 16 of 24 tokens saves a third.
    assert stop.saved >= 0.3
    mark = found.fitted["mark"].test
    assert mark
    assert mark.saved == 0
    assert mark.share >= 0.3
    too_much = study(made(240), Goal(saving=0.9), data="made").fitted
    assert too_much["stop"].threshold is None
    assert too_much["gate"].threshold


def test_signals_too_short_to_stop_leave_the_stop_out() -> None:
    rows = [row.model_copy(update={"stops": ()}) for row in made(120)]
    found = study(rows, GOAL, data="made")
    assert "stop" not in found.fitted
    assert found.calibration.stop is None
    assert found.calibration.gate


def test_a_judge_weighs_features_that_say_little_each() -> None:
    random_ = random.Random(1)
    rows = []
    for row in made(400):
        features = {
            "first": random_.gauss(0, 1),
            "second": random_.gauss(0, 1),
            "noise": random_.random(),
        }
        right = features["first"] - features["second"] + random_.gauss(0, 0.3) > 0
        measures = {"margin": features["first"]}
        outcome = Outcome(
            text="7" if right else "8", tokens=24, measures=measures, features=features
        )
        rows.append(row.model_copy(update={"full": outcome}))
    # One answer without a value cannot be judged, and is never trusted.
    rows[0] = rows[0].model_copy(update={"full": Outcome(text="none", tokens=24)})
    found = study(rows, GOAL, data="made")
    judge, mark = found.calibration.judge, found.calibration.mark
    assert judge
    assert mark
    assert mark.measure == "judge"
    assert judge.features == ("first", "second", "noise")
    assert judge.weights[0] > 1 > -1 > judge.weights[1]
    auroc = {each.measure: each.test_auroc for each in found.fitted["mark"].ranked}
    assert auroc["judge"]
    assert auroc["margin"]
    assert auroc["judge"] > 0.95 > 0.85 > auroc["margin"]
    assert judge.log_odds(rows[1].full.features) is not None
    against = study(rows, GOAL, data="made", against_cloud=True).calibration
    assert against.judge is None


def test_decisions_that_were_not_asked_for_are_not_fitted() -> None:
    found = study(made(120), GOAL, data="made", decisions=frozenset({"stop"}))
    assert set(found.fitted) == {"stop"}
    assert found.calibration.stop
    assert (found.calibration.gate, found.calibration.probe) == (None, None)


def test_each_decision_keeps_its_own_goal() -> None:
    loose = Goal(risk=0.4, failure=0.1)
    found = study(made(240), GOAL, data="made", goals={"mark": loose}).calibration
    assert found.gate
    assert found.mark
    assert (found.gate.risk, found.mark.risk) == (GOAL.risk, 0.4)
    assert found.gate == study(made(240), GOAL, data="made").calibration.gate
