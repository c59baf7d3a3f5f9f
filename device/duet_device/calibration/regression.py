"""Logistic regression with an L2 penalty, by Newton's method: the linear probe."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from duet_contract.calibration import Probe

_STEPS, _ENOUGH = 50, 1e-6
FOLDS = 5
PENALTIES = (1.0, 10.0, 100.0, 1000.0)
Vectors = NDArray[np.float64]


def fit(states: Vectors, right: Sequence[bool], penalty: float) -> Probe:
    """Fit a probe: the log odds that an answer is right, linear in the state.

    Args:
        states: one row per question.
        right: whether each answer was right.
        penalty: of the squared weights, on standardized states.

    Returns:
        The probe, for states as they are.
    """
    mean, scale = states.mean(axis=0), states.std(axis=0)
    scale[scale == 0] = 1.0
    inputs = np.hstack([(states - mean) / scale, np.ones((len(states), 1))])
    wanted = np.asarray(right, dtype=np.float64)
    ridge = np.full(inputs.shape[1], penalty)
    ridge[-1] = 1e-6  # The bias is free, but for what keeps it finite where all are right.
    weights = np.zeros(inputs.shape[1])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        slope = inputs.T @ (chance - wanted) + ridge * weights
        curve = (inputs.T * (chance * (1 - chance))) @ inputs + np.diag(ridge)
        step = np.linalg.solve(curve, slope)
        # Far from the optimum a full Newton step can overshoot.
        weights -= step / max(1.0, float(np.abs(step).max()))
        if float(np.abs(step).max()) < _ENOUGH:
            break
    plain = weights[:-1] / scale
    return Probe(weights=tuple(map(float, plain)), bias=float(weights[-1] - plain @ mean))


def held_out(states: Vectors, right: Sequence[bool], penalty: float) -> list[float]:
    """Return the log odds of each question from a probe that was fitted without it."""
    values = np.zeros(len(states))
    fold = np.arange(len(states)) % FOLDS
    wanted = np.asarray(right, dtype=bool)
    for number in range(FOLDS):
        rest, out = fold != number, fold == number
        if rest.any() and out.any():
            probe = fit(states[rest], list(wanted[rest]), penalty)
            values[out] = states[out] @ np.asarray(probe.weights) + probe.bias
    return [float(value) for value in values]
