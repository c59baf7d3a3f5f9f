"""How far odds are apart, against figures worked out by hand and against scipy's."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from duet_training.export.divergence import Distance, kl, kl_of_known, log_softmax


def _log(*shares):
    return np.log(np.array(shares))


def test_kl_by_hand():
    half, skew = _log(0.5, 0.5), _log(0.9, 0.1)
    wanted = 0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1)
    assert kl(half[None], skew[None]) == pytest.approx([wanted])
    assert kl(skew[None], skew[None]) == pytest.approx([0.0])


logits = arrays(np.float32, (3, 7), elements=st.floats(-20, 20, width=32))


ROUNDED = np.array([[16, 0, -9, 0, 0, 0, 0]] * 3, np.float32)


@example(np.zeros_like(ROUNDED), ROUNDED, {0, 1, 3, 4, 5, 6})
@given(logits, logits, st.sets(st.integers(0, 6), min_size=1))
def test_what_is_known_of_some_tokens_is_a_lower_bound(ours, theirs, ids):
    ours, theirs = log_softmax(ours), log_softmax(theirs)
    assert np.exp(ours).sum(axis=-1) == pytest.approx(1.0)
    whole = kl(ours, theirs)
    for row in range(3):
        known = kl_of_known(ours[row], {i: theirs[row, i] for i in ids})
        assert 0 <= known <= whole[row] + 1e-6
    everything = kl_of_known(ours[0], dict(enumerate(theirs[0])))
    assert everything == pytest.approx(whole[0], abs=1e-6)


def test_a_summary_counts_tokens_not_texts():
    distance = Distance()
    one, other = _log(0.6, 0.4)[None], _log(0.4, 0.6)[None]
    distance.add(one.repeat(3, 0), one.repeat(3, 0), [0, 1, 0])
    distance.add(one, other, [0])
    summary = distance.summary()
    assert summary["tokens"] == 4
    assert summary["top1_agreement"] == pytest.approx(0.75)
    assert summary["mean_kl"] == pytest.approx(0.2 * np.log(0.6 / 0.4) / 4)
    assert summary["log_prob_difference"] == pytest.approx(np.log(0.6 / 0.4) / 4)
    low, high = summary["mean_kl_95"]
    assert low <= summary["mean_kl"] <= high


def test_the_interval_of_a_share_is_of_texts_not_of_tokens():
    distance = Distance()
    same, other = _log(0.6, 0.4)[None].repeat(50, 0), _log(0.4, 0.6)[None].repeat(50, 0)
    for text in range(20):
        distance.add(same, (same, other)[text % 2], [0] * 50)
    # Twenty texts at one half: 0.5 +- 1.96 * sqrt(0.25 / 20).
    assert distance.summary()["top1_agreement_95"] == pytest.approx([0.28, 0.72], abs=0.05)


def test_vllms_way_agrees_with_the_whole_vocabulary_where_it_gives_all():
    rng = np.random.default_rng(0)
    ours, theirs = (log_softmax(rng.normal(size=(4, 5))) for _ in range(2))
    tokens = [0, 1, 2, 3]
    whole, known = Distance(), Distance()
    whole.add(ours, theirs, tokens)
    known.add_known(ours, [dict(enumerate(row)) for row in theirs], tokens)
    for key, value in whole.summary().items():
        assert known.summary()[key] == pytest.approx(value), key
