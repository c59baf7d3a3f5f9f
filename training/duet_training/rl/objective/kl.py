"""KL to the initial large model, taken out of its reward.

    R'(z) = R(z) - beta * sum_t kl_t,   kl_t from VERL's `kl_penalty` (k1 by default)

beta = 0.001 in the paper. The sum over the response's tokens is what VERL's own `kl_in_reward`
comes to under GRPO, which sums token rewards. The small model has no such term.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from verl.trainer.ppo.core_algos import kl_penalty


def kl_of_responses(
    log_probs: torch.Tensor, reference: torch.Tensor, mask: torch.Tensor, kind: str = "k1"
) -> NDArray[np.float64]:
    """Estimated KL of each response in nats, (N,), from log-probs and mask (N, T)."""
    per_token = kl_penalty(log_probs.double(), reference.double(), kind)
    # `where`, not a product: padding may hold anything, NaN included.
    masked = torch.where(mask.bool(), per_token, torch.zeros_like(per_token))
    total: NDArray[np.float64] = masked.sum(dim=-1).numpy()
    return total
