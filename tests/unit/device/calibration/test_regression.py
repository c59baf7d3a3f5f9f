"""The probe: it finds the direction that decides, and is judged without its own rows."""

import numpy as np

from duet_device.calibration.ranking import auroc
from duet_device.calibration.regression import fit, held_out


def rows(count: int, width: int) -> tuple[np.ndarray, list[bool]]:
    random = np.random.default_rng(7)
    states = random.normal(size=(count, width)) * 5 + 3
    chance = 1 / (1 + np.exp(-(states[:, 0] - 3)))
    return states, [bool(each) for each in random.random(count) < chance]


def test_it_finds_what_decides() -> None:
    states, right = rows(400, 8)
    probe = fit(states, right, penalty=1.0)
    weights = np.abs(np.asarray(probe.weights))
    assert weights[0] > 3 * weights[1:].max()
    odds = states @ np.asarray(probe.weights) + probe.bias
    assert abs((1 / (1 + np.exp(-odds))).mean() - np.mean(right)) < 0.02


def test_held_out_values_tell_nothing_where_there_is_nothing() -> None:
    random = np.random.default_rng(3)
    states = random.normal(size=(200, 60))
    right = [bool(each) for each in random.random(200) < 0.5]
    own = states @ np.asarray(fit(states, right, penalty=1.0).weights)
    seen = auroc(list(zip(map(float, own), right, strict=True)))
    unseen = auroc(list(zip(held_out(states, right, penalty=1.0), right, strict=True)))
    assert seen
    assert unseen
    assert seen > 0.8
    assert 0.35 < unseen < 0.65


def test_one_outcome_alone_stays_finite() -> None:
    states, _ = rows(40, 4)
    probe = fit(states, [True] * 40, penalty=1.0)
    assert np.isfinite([*probe.weights, probe.bias]).all()
    assert (states @ np.asarray(probe.weights) + probe.bias > 0).all()
