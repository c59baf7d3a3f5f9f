"""Percentiles, intervals of shares, and intervals of ratios by resampling."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from duet_tools.results.report import Interval, Percentiles

# Of the normal distribution, for 95%.
_Z = 1.959963984540054
RESAMPLES = 4000


def percentiles(values: Sequence[float]) -> Percentiles:
    """Percentiles with linear interpolation between neighbours."""
    p50, p90, p95, p99 = np.percentile(np.asarray(values, float), [50, 90, 95, 99])
    return Percentiles(
        count=len(values),
        mean=float(np.mean(values)),
        p50=float(p50),
        p90=float(p90),
        p95=float(p95),
        p99=float(p99),
    )


def wilson(right: int, count: int) -> Interval:
    """The share right/count with its 95% score interval (E. B. Wilson, 1927)."""
    share = right / count
    centre = share + _Z**2 / (2 * count)
    half = _Z * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    scale = 1 + _Z**2 / count
    # Rounding must not put the share outside.
    low = min(share, max(0.0, (centre - half) / scale))
    return Interval(value=share, low=low, high=max(share, min(1.0, (centre + half) / scale)))


def ratio_of_medians(
    subject: NDArray[np.float64], base: NDArray[np.float64], *, paired: bool, seed: int = 0
) -> Interval | None:
    """Median of `subject` over median of `base`, with its 95% bootstrap interval (percentiles).

    `paired`: both hold the same questions in the same order, which are then drawn together.
    None where the base's median is 0.
    """
    if not np.median(base):
        return None
    drawn = _resampled(subject, base, paired=paired, seed=seed)
    mine, theirs = (np.median(sample, axis=1) for sample in drawn)
    usable = theirs != 0
    low, high = np.percentile(mine[usable] / theirs[usable], [2.5, 97.5])
    return Interval(
        value=float(np.median(subject) / np.median(base)), low=float(low), high=float(high)
    )


def difference_of_means(
    subject: NDArray[np.float64], base: NDArray[np.float64], *, paired: bool, seed: int = 0
) -> Interval:
    """Mean of `subject` less mean of `base`, with its 95% bootstrap interval (percentiles)."""
    mine, theirs = _resampled(subject, base, paired=paired, seed=seed)
    low, high = np.percentile(mine.mean(axis=1) - theirs.mean(axis=1), [2.5, 97.5])
    return Interval(value=float(subject.mean() - base.mean()), low=float(low), high=float(high))


def _resampled(
    subject: NDArray[np.float64], base: NDArray[np.float64], *, paired: bool, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    draw = np.random.default_rng(seed)
    chosen = draw.integers(0, len(subject), (RESAMPLES, len(subject)))
    others = chosen if paired else draw.integers(0, len(base), (RESAMPLES, len(base)))
    return subject[chosen], base[others]
