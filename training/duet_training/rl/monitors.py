"""Alarms of a running training: numbers that are no numbers, and two engines that disagree."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from duet_training.errors import DivergenceError
from duet_training.verl_backend.generation import Response


def log_prob_differences(responses: Sequence[Response], trained: torch.Tensor) -> dict[str, float]:
    """Difference, in nats, between tokens' log-probs in rollout and in training.

    `trained`: nested (N, *), the trainer's log-probs of the same tokens under the same weights.
    Largest and mean absolute difference over all tokens.
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
    """A warning if rollout and trainer disagree, else None. `of`: "largest" or "mean".

    A difference means that the model was sampled with other weights, another temperature or other
    arithmetic than it is trained with, so that the gradient is of another policy.
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
    """Stops a run whose numbers are no longer numbers.

    Raises:
        DivergenceError: a metric is NaN or infinite.
    """
    wrong = [name for name, value in metrics.items() if not math.isfinite(value)]
    if wrong:
        raise DivergenceError(f"step {step}: {', '.join(wrong)} is not a finite number")


def nothing_to_learn(right: float, step: int, questions: int) -> str | None:
    """A warning if no answer of the first step was right, or every one was. `right`: their share.

    LIMO fails for the first reason in arXiv 2605.01111: reward cannot point anywhere, and the
    method cannot compress reasoning that does not solve the problem. Where all are right, no
    answer is worth more than another, and a signal adds nothing.
    """
    if step > 1 or 0 < right < 1:
        return None
    if right == 0:
        return (
            f"no answer to any of the {questions} questions was right: the data may be too hard "
            "for the reasoner, or the verifier may not read its answers; nothing can be learnt "
            "from this"
        )
    return (
        f"every answer to all of the {questions} questions was right: the data may be too easy, or "
        "the verifier may accept anything; there is nothing to learn but shorter answers"
    )
