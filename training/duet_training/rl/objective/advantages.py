"""GRPO: groups, and advantages within them.

    A_i = (R_i - mean(group)) / (std(group) + 1e-6)      std with n - 1; or without the division

Groups as in arXiv 2605.01111's released code: for M the signals of one question; for m all guided
answers of one question, regardless of their signal.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage


def reasoner_groups(questions: int, signals: int) -> NDArray[np.int64]:
    """Group of each signal, flattened from (Q, S): its question's number."""
    return np.repeat(np.arange(questions), signals)


def decoder_groups(questions: int, signals: int, answers: int) -> NDArray[np.int64]:
    """Group of each guided answer, flattened from (Q, S, A): its question's number."""
    return np.repeat(np.arange(questions), signals * answers)


def advantages(
    rewards: NDArray[np.float64],
    groups: NDArray[np.int64],
    mask: torch.Tensor,
    *,
    divide_by_std: bool = True,
) -> torch.Tensor:
    """Advantage of every token, (N, T), zero where `mask` (N, T) is; one reward a response, (N,).

    A group whose rewards are all equal gets zeros. It is computed in float64 for that reason: in
    float32 the rounding of the mean, divided by 1e-6, comes to advantages of about 0.06.
    """
    token_rewards = torch.as_tensor(rewards, dtype=torch.float64).unsqueeze(-1)
    result: torch.Tensor
    result, _ = compute_grpo_outcome_advantage(
        token_level_rewards=token_rewards,
        response_mask=mask.double(),
        index=groups,
        norm_adv_by_std_in_grpo=divide_by_std,
    )
    return result.float()


def tied_groups(rewards: NDArray[np.float64], groups: NDArray[np.int64]) -> float:
    """Compute the share in [0, 1] of groups with equal rewards, which give no gradient."""
    ties = [np.ptp(rewards[groups == group]) < 1e-12 for group in np.unique(groups)]
    return float(np.mean(ties))
