"""Figures of an evaluation: accuracy with its interval, spread over seeds, IPT, FLOPs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def bootstrap_interval(
    scores: NDArray[np.float64], *, confidence: float = 0.95, draws: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of scores (questions, samples).

    Questions are drawn, not single answers: several samples of one question are no more
    independent than the question is one.
    """
    means = scores.mean(axis=1)
    return bootstrap_share(
        means, np.ones_like(means), confidence=confidence, draws=draws, seed=seed
    )


def bootstrap_share(
    totals: NDArray[np.float64],
    counts: NDArray[np.float64],
    *,
    confidence: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of sum(totals) / sum(counts), both (texts,); texts are drawn.

    A ratio of the sums of one drawing, so that the mean of shares stays one.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(totals), size=(draws, len(totals)))
    means = totals[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Standard deviation (n - 1; None for a single run), least and most of one figure per run."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"std": deviation, "min": float(min(values)), "max": float(max(values))}


def intelligence_per_token(accuracy: float, reasoner_tokens: float) -> float | None:
    """IPT = 1000 * accuracy / tokens of the large model (arXiv 2605.01111); None without tokens."""
    return 1000 * accuracy / reasoner_tokens if reasoner_tokens else None


def generation_flops(parameters: int, tokens: float) -> float:
    """2 * P * L: floating-point operations to generate L tokens, attention left out."""
    return 2.0 * parameters * tokens
