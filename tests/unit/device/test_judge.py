"""The judge of a calibration: features of an answer, its mark and its chance."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from duet_contract.calibration import Calibration, Judge
from duet_contract.manifest import Manifest
from duet_contract.v1.inference_pb2 import ReasonRequest, ReasonResponse, SignalEnd
from duet_device.decoder.odds import Odds
from duet_device.pairs.pair import Pair
from duet_device.policy import checkers
from duet_device.policy.arithmetic import check_arithmetic
from duet_device.policy.calibrations import store
from duet_device.policy.check import Answered, Check
from duet_device.policy.features import features_of
from duet_device.question import Question
from duet_device.signal_stream import Signal
from tests.doubles.asking import ask
from tests.doubles.calibrations import calibration, threshold
from tests.doubles.cloud import Script, done, says, tokens
from tests.doubles.decoder import ScriptedDecoder, answering
from tests.doubles.manifests import PRIVATE_PAIR
from tests.unit.device.conftest import manifest_data

ASKED = "Ann has 3 bags of 4 pens and 2 cups. How many pens?"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUET_HOME", str(tmp_path / "home"))


@pytest.fixture
def private(tmp_path: Path) -> Pair:
    data = manifest_data(**PRIVATE_PAIR)
    return Pair(tmp_path, Manifest.model_validate(data))


def judged_by(name: str, weight: float, bias: float) -> Calibration:
    """Marks an answer at log odds below 0."""
    judge = Judge(features=(name,), weights=(weight,), bias=bias)
    mark = threshold("judge", 0.0, chances=((-9.0, 0.2), (0.0, 0.9)))
    return calibration(mark=mark, more=mark, judge=judge)


def sends(formula: str, **odds: float) -> Script:
    return says(tokens(*formula.encode()), done(len(formula), **odds))


def decoder() -> ScriptedDecoder:
    return ScriptedDecoder(answering("{=} pens.", " A:"))


def test_features_are_those_that_are_known() -> None:
    asked = Question("why?")
    assert features_of(asked, None, [], [], None) == {"question_words": 1.0}
    end = SignalEnd(signal_tokens=3, least_log_probability=-2.0, mean_log_probability=-0.5)
    found = features_of(
        asked, Signal("a*b", (1,), 3, cut=False, done=end), [Odds(-0.1, 0.9, 0.2)], [], None
    )
    assert found["reasoner_least"] == -2.0
    # Of the signal and the closing token.
    assert found["reasoner_sum"] == pytest.approx(4 * -0.5)
    assert found["decoder_margin"] == pytest.approx(0.9)


def test_the_odds_of_the_end_alone_do_not_count() -> None:
    end = SignalEnd(
        prefix_tokens=2, signal_tokens=1, least_log_probability=-2.0, mean_log_probability=-0.5
    )
    found = features_of(Question("why?"), Signal("a*b", (1,), 3, cut=False, done=end), [], [], None)
    assert "reasoner_mean" not in found


@pytest.mark.parametrize(("least", "marked"), [(-0.1, False), (-3.0, True)])
def test_a_judge_marks_by_what_the_reasoner_says_of_its_formula(
    private: Pair, least: float, marked: bool
) -> None:
    store(judged_by("reasoner_least", 1.0, 1.0), private.manifest)
    script = sends("a*b", least_log_probability=least, mean_log_probability=least)
    result, cloud = ask(script, private, decoder(), question=ASKED, budget=8)
    receipt = result.receipt
    assert cloud.requests[0].odds
    assert receipt.value == "12"
    # A number that is left out is one of the features: by itself it marks nothing.
    assert receipt.doubts
    assert receipt.low_confidence == marked
    assert receipt.chance == (0.2 if marked else 0.9)


def test_without_the_reasoners_odds_the_checks_mark(private: Pair) -> None:
    store(judged_by("reasoner_least", 1.0, 9.0), private.manifest)
    receipt = ask(sends("a*b"), private, decoder(), question=ASKED, budget=8)[0].receipt
    assert receipt.chance is None
    assert receipt.low_confidence == bool(receipt.doubts) is True


def test_an_installed_checker_sees_computed_answers_and_no_judge_overrules_it(
    private: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(judged_by("reasoner_least", 1.0, 9.0), private.manifest)
    seen = []

    def even(answered: Answered) -> Iterator[Check]:
        seen.append((answered.signal, answered.answer))
        yield Check("3" in answered.answer, "twelve is even")

    monkeypatch.setattr(
        checkers, "checkers", lambda: {"arithmetic": check_arithmetic, "even": even}
    )
    odds = {"least_log_probability": -0.1, "mean_log_probability": -0.1}
    receipt = ask(sends("a*b", **odds), private, decoder(), question=ASKED, budget=8)[0].receipt
    assert seen == [("a*b", "12 pens.")]
    assert "twelve is even" in receipt.doubts
    assert receipt.low_confidence


def test_no_judge_trusts_what_cannot_be_right(private: Pair) -> None:
    store(judged_by("question_words", 0.0, 9.0), private.manifest)
    for formula in ("c/a", "a/0", "?"):
        receipt = ask(sends(formula), private, decoder(), question=ASKED, budget=8)[0].receipt
        assert receipt.low_confidence, formula


def test_a_doubtful_formula_is_asked_for_again(private: Pair) -> None:
    store(judged_by("reasoner_least", 1.0, 1.0), private.manifest)
    sent = iter([("c", -3.0), ("a*b", -0.1)])

    def script(request: ReasonRequest, context: object) -> Iterator[ReasonResponse]:
        formula, least = next(sent)
        yield tokens(*formula.encode())
        yield done(len(formula), least_log_probability=least, mean_log_probability=least)

    receipt = ask(script, private, decoder(), question=ASKED, budget=8, rounds=3)[0].receipt
    assert [(each.measure, each.kept) for each in receipt.rounds] == [
        ("judge", False),
        ("judge", True),
    ]
    assert receipt.value == "12"
    assert not receipt.low_confidence


def test_one_sure_formula_counts_for_more_than_two_doubtful_ones_that_agree(private: Pair) -> None:
    store(judged_by("reasoner_least", 1.0, 1.0), private.manifest)
    sent = iter([("c", -3.0), ("c", -2.0), ("a*b", -0.1)])

    def script(request: ReasonRequest, context: object) -> Iterator[ReasonResponse]:
        formula, least = next(sent)
        yield tokens(*formula.encode())
        yield done(len(formula), least_log_probability=least, mean_log_probability=least)

    receipt = ask(script, private, decoder(), question=ASKED, budget=8, rounds=3)[0].receipt
    # The two do not settle it: a third can weigh more than both.
    assert [each.kept for each in receipt.rounds] == [False, False, True]
    assert receipt.value == "12"


def test_a_pair_that_writes_its_answers_asks_for_no_odds(pair: Pair) -> None:
    _, cloud = ask(says(tokens(1), done(1)), pair, decoder(), budget=8)
    assert not cloud.requests[0].odds


def test_a_judge_without_a_weight_for_each_feature_is_refused() -> None:
    with pytest.raises(ValueError, match="one weight for each"):
        Judge(features=("a", "b"), weights=(1.0,), bias=0.0)
