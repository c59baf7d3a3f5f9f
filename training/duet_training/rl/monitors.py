"""Monitors of a training run: NaN or infinite metrics, and rollout that disagrees with training."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from duet_training.errors import DivergenceError
from duet_training.verl_backend.generation import Response


def log_prob_differences(responses: Sequence[Response], trained: torch.Tensor) -> dict[str, float]:
    """Largest and mean absolute difference of tokens' log-probs in rollout and in training, in nats.

    `trained` is nested (N, *): the trainer's log-probs of the same tokens under the same weights.
    """
    apart = np.concatenate(
        [
            np.abs(np.array(response.log_probs) - values.numpy())
            for response, values in zip(responses, trained.unbind(), strict=True)
        ]
    )
    return {
        "log_prob_difference": float(apart.max()),
        "log_prob_difference_mean": float(apart.mean()),
    }


def agree(policy: str, metrics: Mapping[str, float], of: str, tolerance: float) -> str | None:
    """Return a warning if rollout and trainer disagree, else None. `of`: "largest" or "mean".

    A difference means that sampling and training use different weights, temperatures or arithmetic,
    so the gradient is of another policy.
    """
    suffix = "" if of == "largest" else "_mean"
    difference = metrics[f"{policy}/log_prob_difference{suffix}"]
    if difference <= tolerance:
        return None
    return (
        f"the {policy}'s rollout and trainer disagree: log-probs differ by {difference:.1e} "
        f"({of}), checks.log_prob_tolerance is {tolerance:.1e}"
    )


def finite(metrics: Mapping[str, float], step: int) -> None:
    """Stop a run with invalid metrics.

    Raises:
        DivergenceError: A metric is NaN or infinite.
    """
    wrong = [name for name, value in metrics.items() if not math.isfinite(value)]
    if wrong:
        raise DivergenceError(f"step {step}: {', '.join(wrong)} is not a finite number")


def nothing_to_learn(right: float, step: int, questions: int) -> str | None:
    """Return a warning if the share `right` of the first step's answers is 0 or 1.

    LIMO fails for the first reason in arXiv 2605.01111: the reward has no gradient, and the method
    cannot compress reasoning that does not solve the problem. If all answers are right, their
    rewards are equal, and a signal adds nothing.
    """
    if step > 1 or 0 < right < 1:
        return None
    if right == 0:
        return (
            f"no answer to any of the {questions} questions was right: the data may be too hard "
            "for the reasoner, or the verifier may not read its answers; nothing can be learned "
            "from this"
        )
    return (
        f"every answer to all of the {questions} questions was right: the data may be too easy, or "
        "the verifier may accept anything; there is nothing to learn but shorter answers"
    )
