"""Rewards of the baselines that train: by hand, and against a second version with loops."""

import numpy as np
import pytest

from duet_training.errors import ConfigError
from duet_training.evaluation.methods import METHODS
from duet_training.evaluation.run import EvaluationSettings
from duet_training.rl.baselines import BASELINES, LengthGrpo, SingleModel, ThinkPrune
from duet_training.settings.run import Settings, settings_from

NEEDED = ["pair=p.yaml", "out=o", "data.train=t.parquet"]

# Two questions, two responses each.
RIGHT = np.array([[1.0, 1.0], [0.0, 1.0]])
LENGTHS = np.array([[500.0, 2000.0], [4000.0, 1000.0]])


def test_single_model_by_hand():
    # 1 - 0.2 * 0.5, 1 - 0.2 * 2, 0 - 0.2 * 4, 1 - 0.2 * 1
    expected = np.array([[0.9, 0.6], [-0.8, 0.8]])
    assert SingleModel(1000).rewards(RIGHT, LENGTHS, 0.2) == pytest.approx(expected)
    assert SingleModel(1000).rewards(RIGHT, LENGTHS, 0.0) == pytest.approx(RIGHT)
    on_success = SingleModel(1000, on_success_only=True).rewards(RIGHT, LENGTHS, 0.2)
    assert on_success == pytest.approx(np.array([[0.9, 0.6], [0.0, 0.8]]))


def test_lgrpo_by_hand():
    # First question: longest right one 2000, so 1 - 500 / 2000 and 1 - 1. Second: wrong pays
    # nothing however long it is, and the only right one is the longest right one.
    assert LengthGrpo(weight=1.0).rewards(RIGHT, LENGTHS, 0.9).tolist() == [[0.75, 0.0], [0.0, 0.0]]
    assert LengthGrpo(weight=0.5).rewards(RIGHT, LENGTHS, 0.9).tolist() == [
        [0.875, 0.5],
        [0.0, 0.5],
    ]
    nothing = LengthGrpo(weight=1.0).rewards(np.zeros((1, 2)), LENGTHS[:1], 0.9)
    assert nothing.tolist() == [[0.0, 0.0]]


def test_thinkprune_limits_by_hand():
    prune = ThinkPrune(start=8000, less=1000, every=20, floor=1000)
    steps = {1: 8000, 20: 8000, 21: 7000, 40: 7000, 41: 6000, 140: 2000, 141: 1000, 900: 1000}
    assert {step: prune.limit(step) for step in steps} == steps
    assert prune.rewards(RIGHT, LENGTHS, 0.9).tolist() == RIGHT.tolist()


def _baseline(method):
    return BASELINES[method](settings_from([*NEEDED, f"method={method}"]))


def test_one_switch_chooses_the_method():
    kinds = {"single": SingleModel, "thinkprune": ThinkPrune, "lgrpo": LengthGrpo}
    assert {method: type(_baseline(method)) for method in BASELINES} == kinds
    assert settings_from([*NEEDED, "method=duet"]).policies == ("reasoner", "decoder")
    for method in BASELINES:
        assert settings_from([*NEEDED, f"method={method}"]).policies == ("reasoner",)


def test_a_baseline_of_the_table_is_evaluated_as_a_reasoner_that_answers():
    assert {*Settings.methods} == {"duet", *BASELINES}
    assert {*BASELINES} < {*EvaluationSettings.methods} == {*METHODS}
    for method in BASELINES:
        assert METHODS[method](None).uses == ("reasoner",)


def test_the_papers_values_are_the_defaults():
    prune = _baseline("thinkprune")
    assert [prune.limit(step) for step in (1, 21, 1000)] == [8000, 7000, 1000]
    assert _baseline("lgrpo").rewards(RIGHT, LENGTHS, 0)[0, 0] == 0.75
    assert _baseline("single").rewards(RIGHT, LENGTHS, 1.0)[0, 1] == -1.0  # 1 - 2000 / 1000


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("method=original", "not one of duet, single, thinkprune, lgrpo"),
        ("method=best", "method"),
        ("thinkprune.every=0", "thinkprune.every"),
        ("lgrpo.weight=-1", "lgrpo.weight"),
    ],
)
def test_bad_methods_are_one_line(override, says):
    with pytest.raises(ConfigError, match=says):
        settings_from([*NEEDED, override])


def test_a_reasoner_that_answers_may_not_stop_before_it_does():
    with pytest.raises(ConfigError, match="without an answer"):
        settings_from([*NEEDED, "method=single", "objective.stop_at_end_of_reasoning=true"])
