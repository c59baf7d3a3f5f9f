"""The effect of marginal utility under GRPO, measured on the trainer's own reward and advantages.

r_m is a property of the question, so subtracting the group's mean removes it: it cannot distinguish
signals. Its estimate, sampled again for each signal, adds noise to the group's rewards. GRPO
divides by their standard deviation, so that noise determines the effective length penalty. Groups
are drawn as in a training step: four signals of one question, four answers to each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch

from duet_training.rl.objective.advantages import advantages, reasoner_groups
from duet_training.rl.objective.rewards import (
    Array,
    UtilityBaseline,
    alone_reward,
    guided_reward,
    reasoner_reward,
)

LENGTHS = (40.0, 60.0, 80.0, 100.0)
BUDGET = 24.0
ANSWERS = 4
LAMBDAS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True)
class Question:
    """A question with the decoder's probabilities of a right answer."""

    name: str
    """Name of the question in the table."""
    alone: float
    """Probability without a signal."""
    guided: tuple[float, float, float, float]
    """Probability with each of the four signals."""


QUESTIONS = (
    Question("every signal is enough, the decoder often knows", 0.5, (1.0,) * 4),
    Question("every signal is enough, the decoder never knows", 0.0, (1.0,) * 4),
    Question("longer signals help", 0.3, (0.5, 0.7, 0.9, 1.0)),
    Question("no signal helps", 0.0, (0.0,) * 4),
)


def pressure(
    question: Question,
    penalty: float,
    baseline: UtilityBaseline,
    *,
    divided: bool,
    on_success: bool,
    draws: int,
) -> float:
    """Compute the shortest signal's mean advantage minus the longest's; above 0 signals shorten."""
    rng = np.random.default_rng(0)
    shape = (draws, len(LENGTHS), ANSWERS)
    likely = np.array(question.guided)[None, :, None]
    right: Array = (rng.random(shape) < likely).astype(np.float64)
    known: Array = (rng.random(shape) < question.alone).astype(np.float64)
    rewards = reasoner_reward(
        guided_reward(right),
        alone_reward(known, baseline),
        np.tile(LENGTHS, (draws, 1)),
        penalty=penalty,
        budget=BUDGET,
        on_success_only=on_success,
    )
    groups = reasoner_groups(draws, len(LENGTHS))
    mask = torch.ones((rewards.size, 1))
    weights = advantages(rewards.reshape(-1), groups, mask, divide_by_std=divided)
    mean = weights.reshape(draws, len(LENGTHS)).mean(dim=0)
    return float(mean[0] - mean[-1])


def measured(draws: int = 400) -> list[dict[str, Any]]:
    """Measure the pressure by question, switches and length penalty."""
    rows: list[dict[str, Any]] = []
    switches: Sequence[tuple[UtilityBaseline, bool, bool]] = list(
        product(UtilityBaseline, (True, False), (False, True))
    )
    for question in QUESTIONS:
        for baseline, divided, on_success in switches:
            found = [
                pressure(
                    question, penalty, baseline, divided=divided, on_success=on_success, draws=draws
                )
                for penalty in LAMBDAS
            ]
            rows.append(
                {
                    "question": question.name,
                    "baseline": str(baseline),
                    "divided": divided,
                    "on_success": on_success,
                    "pressure": dict(
                        zip(map(str, LAMBDAS), np.round(found, 3).tolist(), strict=True)
                    ),
                }
            )
    return rows
