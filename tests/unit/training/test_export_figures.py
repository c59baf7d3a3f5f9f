"""What an export adds to the manifest: figures, and the threshold of doubt."""

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from duet_training.errors import ConfigError
from duet_training.export.manifest import evaluation_from
from duet_training.export.parity import threshold
from duet_training.export.settings import FigureSettings

RESULT = {"data": "stories:wide", "questions": 500, "accuracy": 0.95, "reasoner_tokens": 20.0}


@example(answers=[(1.0, True)] * 10 + [(0.5, True)] * 2, share=0.1)
@given(
    answers=st.lists(st.tuples(st.floats(0.001, 1), st.booleans()), min_size=1, max_size=80),
    share=st.sampled_from([0.05, 0.1, 0.5]),
)
def test_no_more_right_answers_are_marked_than_allowed(answers, share):
    odds = [lowest for lowest, _ in answers]
    scores = np.array([float(right) for _, right in answers])
    found = threshold(odds, scores, share)
    right = sum(right for _, right in answers)
    if right * share < 1:
        assert found == {"threshold": None, "right_marked": None, "wrong_marked": None}
        return
    marked = sum(o < found["threshold"] for o, s in answers if s)
    assert marked <= share * right + 1e-9
    assert found["right_marked"] == pytest.approx(marked / right)


def test_wrong_answers_that_the_decoder_doubted_are_marked():
    odds, scores = [0.9] * 38 + [0.5, 0.6] + [0.2, 0.95], np.array([1.0] * 40 + [0.0, 0.0])
    found = threshold(odds, scores, 0.05)
    assert 0.5 < found["threshold"] <= 0.9
    assert found["wrong_marked"] == 0.5
    assert threshold(odds, scores, None)["threshold"] is None


def test_a_decoder_that_is_always_sure_marks_nothing():
    found = threshold([1.0] * 50, np.ones(50), 0.05)
    assert found["threshold"] < 1
    assert found["right_marked"] == 0


def _write(path, **changes):
    path.write_text(json.dumps({**RESULT, "decoder_tokens": 14.0} | changes))
    return path


def test_figures_come_from_evaluations(tmp_path):
    split = _write(tmp_path / "split.json")
    alone = _write(tmp_path / "alone.json", accuracy=0.97, reasoner_tokens=120.0)
    (figure,) = evaluation_from(FigureSettings(split=split, alone=alone))
    assert figure.model_dump() == {
        "data": "stories:wide",
        "questions": 500,
        "accuracy": 0.95,
        "signal_tokens": 20.0,
        "answer_tokens": 14.0,
        "reasoner_alone_accuracy": 0.97,
        "reasoner_alone_tokens": 120.0,
    }
    (figure,) = evaluation_from(FigureSettings(split=split, alone=None))
    assert figure.reasoner_alone_tokens is None
    assert evaluation_from(FigureSettings(split=None, alone=None)) == ()


def test_figures_that_do_not_fit_are_refused(tmp_path):
    split = _write(tmp_path / "split.json")
    other = _write(tmp_path / "other.json", questions=10)
    with pytest.raises(ConfigError, match="different questions"):
        evaluation_from(FigureSettings(split=split, alone=other))
    with pytest.raises(ConfigError, match="cannot read"):
        evaluation_from(FigureSettings(split=tmp_path / "none.json", alone=None))
    broken = tmp_path / "broken.json"
    broken.write_text("[]")
    with pytest.raises(ConfigError, match="not a result of duet-train evaluate"):
        evaluation_from(FigureSettings(split=broken, alone=None))
    broken.write_text('{"data": "x"}')
    with pytest.raises(ConfigError, match="not a result of duet-train evaluate"):
        evaluation_from(FigureSettings(split=broken, alone=None))
    with pytest.raises(ValueError, match="without figures.split"):
        FigureSettings(split=None, alone=split)
