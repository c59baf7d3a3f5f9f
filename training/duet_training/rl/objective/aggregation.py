"""How the token losses of a mini-batch become one loss.

With l_t the loss of token t, N responses of T tokens in all, T_i of them in response i:

    token-mean                sum_t l_t / T
    token-sum                 sum_t l_t
    seq-mean-token-sum        sum_i (sum_{t in i} l_t) / N
    seq-mean-token-sum-norm   the same, divided by the limit of a response (arXiv 2503.20783)
    seq-mean-token-mean       sum_i (sum_{t in i} l_t / T_i) / N
    micro-batch-token-mean    sum_g (sum_{t in g} l_t / T_g) / G

The first five are VERL's. In the last, G micro-batches g hold `objective.micro_batch` responses
each, consecutive ones, so that a token in a micro-batch of short responses counts more. The
released code of arXiv 2605.01111 does so, with micro-batches of 2 (reasoner) and 4 (decoder).
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LossAggregation = Literal[
    "token-mean",
    "token-sum",
    "seq-mean-token-sum",
    "seq-mean-token-sum-norm",
    "seq-mean-token-mean",
    "micro-batch-token-mean",
]


def verl_mode(rule: LossAggregation) -> str:
    """VERL's name for a rule; micro-batches are weights (`micro_batch_weights`) in a token mean."""
    return "token-mean" if rule == "micro-batch-token-mean" else rule


def micro_batch_weights(
    lengths: Sequence[int], mini_batch: int, micro_batch: int
) -> NDArray[np.float64]:
    """Factor of each response's advantages that turns the token mean into that of micro-batches.

    PPO's clipped loss of a token is proportional to its advantage, so w_i = T / (G T_g) in the
    token mean over the mini-batch is the mean over micro-batches of their token means.

    Args:
        lengths: Tokens of each response; whole mini-batches.
        mini_batch: Responses of a mini-batch.
        micro_batch: Responses of a micro-batch; divides `mini_batch`.

    Returns:
        Factors, (N,).

    Examples:
        >>> micro_batch_weights([1, 1, 3, 3], mini_batch=4, micro_batch=2).tolist()
        [2.0, 2.0, 0.6666666666666666, 0.6666666666666666]
    """
    tokens = np.asarray(lengths, dtype=np.float64).reshape(
        -1, mini_batch // micro_batch, micro_batch
    )
    of_micro = np.maximum(tokens.sum(axis=2, keepdims=True), 1)
    of_mini = of_micro.sum(axis=1, keepdims=True)
    weights: NDArray[np.float64] = np.broadcast_to(
        of_mini / (of_micro.shape[1] * of_micro), tokens.shape
    ).reshape(-1)
    return weights
