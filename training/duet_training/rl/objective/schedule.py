"""The length penalty (lambda) over time: dual ascent on the budget constraint E|z| <= B.

    lambda_{t+1} = clip( lambda_t + eta * (mean|z| / B - 1), low, high )      (arXiv 2605.01111)

with clip to [0, 1] in the paper and the released code, eta = 0.01, lambda_0 = 0. The paper's
ablations are `clip = None` (collapses late) and a constant lambda.
"""


def dual_ascent(
    penalty: float,
    mean_length: float,
    *,
    budget: float,
    rate: float,
    clip: tuple[float, float] | None = (0.0, 1.0),
) -> float:
    """Raise lambda if signals are longer than `budget` tokens in the mean, lower it if shorter."""
    moved = penalty + rate * (mean_length / budget - 1.0)
    if clip is None:
        return moved
    low, high = clip
    return min(max(moved, low), high)
