"""Figures of an evaluation: spread over seeds, IPT, FLOPs."""

from collections.abc import Sequence

import numpy as np


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
