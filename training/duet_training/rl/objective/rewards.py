"""The large model's reward for one signal: marginal utility minus the length penalty.

    R(z) = r_Mm(z) - [marginal] * r_m - lambda * |z| / B            (arXiv 2605.01111, M step)

r_Mm is the mean reward of m's answers with the signal, r_m that of m's answers without one; the KL
term is subtracted apart (`duet_training.rl.objective.kl`), because it is known only after the log-probs.
"""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Counted(StrEnum):
    """Which of the large model's tokens count as |z|.

    `response` is the released code's: every token that M produced, its own answer after the
    reasoning, the end-of-reasoning token and the end-of-text token included. `signal` counts what m
    reads, which is what the device pays for once serving stops M at the end of its reasoning.
    """

    RESPONSE = "response"
    SIGNAL = "signal"


def signal_lengths(
    responses: Sequence[Sequence[int]], signals: Sequence[Sequence[int]], counted: Counted
) -> NDArray[np.float64]:
    """|z| in tokens for each response of M and the signal cut out of it, (N,)."""
    chosen = responses if counted is Counted.RESPONSE else signals
    return np.array([len(ids) for ids in chosen], dtype=np.float64)


Array = NDArray[np.float64]


class UtilityBaseline(StrEnum):
    """What r_m of a signal is the mean of.

    `per_signal`: the answers sampled for this signal (the released code). `per_question`: all
    answers without a signal of the question; GRPO's group mean then cancels it exactly, so that
    marginal utility changes nothing but the logged reward. `none`: the paper's ablation.
    """

    PER_SIGNAL = "per_signal"
    PER_QUESTION = "per_question"
    NONE = "none"


def guided_reward(scores: Array) -> Array:
    """r_Mm: the mean of a signal's answers. Scores (Q, S, A) in [0, 1] -> (Q, S)."""
    mean: Array = scores.mean(axis=2)
    return mean


def alone_reward(scores: Array, baseline: UtilityBaseline) -> Array:
    """r_m for each signal, from answers to the question alone. Scores (Q, S, A) -> (Q, S)."""
    if baseline is UtilityBaseline.NONE:
        return np.zeros(scores.shape[:2])
    if baseline is UtilityBaseline.PER_SIGNAL:
        return guided_reward(scores)
    return np.broadcast_to(scores.mean(axis=(1, 2))[:, None], scores.shape[:2]).copy()


def length_penalty(
    lengths: Array, penalty: float, budget: float, guided: Array, *, on_success_only: bool
) -> Array:
    """lambda * |z| / B for lengths (Q, S) in tokens; in units of reward.

    With `on_success_only` an answer pays only if it is right, so that failing fast never pays: the
    mean over the signal's answers is then r_Mm * lambda * |z| / B, with `guided` = r_Mm (Q, S).
    """
    cost = penalty * lengths / budget
    return cost * guided if on_success_only else cost


def reasoner_reward(
    guided: Array,
    alone: Array,
    lengths: Array,
    *,
    penalty: float,
    budget: float,
    on_success_only: bool = False,
) -> Array:
    """R(z) before the KL term, (Q, S). `penalty` is lambda, `budget` is B in tokens."""
    cost = length_penalty(lengths, penalty, budget, guided, on_success_only=on_success_only)
    return guided - alone - cost
