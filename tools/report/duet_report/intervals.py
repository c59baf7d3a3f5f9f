"""Estimates with their 95% intervals, from `scipy.stats`."""

from collections.abc import Callable, Sequence
from math import hypot
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 10_000

Values = NDArray[np.float64]


class Interval(BaseModel):
    """An estimate with its 95% confidence interval."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    value: float
    """The estimate."""
    low: float
    """Lower bound."""
    high: float
    """Upper bound."""


def bounds(interval: Interval) -> list[float]:
    """Lower and upper bound, as results have them in JSON."""
    return [interval.low, interval.high]


def proportion(successes: int, count: int) -> Interval:
    """Estimate a share with Wilson's score interval.

    Examples:
        >>> round(proportion(96, 100).low, 3)
        0.902
    """
    found = stats.binomtest(successes, count).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(value=successes / count, low=float(found.low), high=float(found.high))


def mean_of_runs(values: Sequence[float]) -> Interval:
    """Estimate the mean of independent runs with Student's t; a single run is its own interval."""
    mean = float(np.mean(values))
    error = float(stats.sem(values)) if len(values) > 1 else 0.0
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * error if error else 0.0
    return Interval(value=mean, low=mean - half, high=mean + half)


def bootstrap(
    statistic: Callable[..., Any], *samples: Values, paired: bool = False
) -> Interval | None:
    """Estimate a statistic with its percentile bootstrap interval.

    Args:
        statistic: takes the samples and `axis`.
        samples: one-dimensional, a value for each question.
        paired: whether the samples hold the same questions, which are then drawn together.

    Returns:
        None if the statistic is not finite. With one value the interval is the value.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(*samples, axis=-1))
        if not np.isfinite(value):
            return None
        if min(map(len, samples)) < 2:
            return Interval(value=value, low=value, high=value)
        drawn = stats.bootstrap(
            samples,
            statistic,
            n_resamples=RESAMPLES,
            paired=paired,
            vectorized=True,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(0),
        ).bootstrap_distribution
    low, high = _middle(drawn[np.isfinite(drawn)])
    return Interval(value=value, low=low, high=high)


def bootstrap_mean(scores: Values) -> Interval:
    """Estimate the mean of scores (questions, samples); whole questions are drawn."""
    return bootstrap_share(scores.mean(axis=1), np.ones(len(scores)))


def bootstrap_share(totals: Values, counts: Values) -> Interval:
    """Estimate sum(totals) / sum(counts), both (texts,); texts are drawn."""

    def share(totals: Values, counts: Values, axis: int) -> Any:
        return totals.sum(axis) / counts.sum(axis)

    found = bootstrap(share, totals, counts, paired=True)
    assert found
    return found


def ratio_of_medians(subject: Values, base: Values, *, paired: bool) -> Interval | None:
    """Estimate median(subject) / median(base); None if the base's median is 0."""

    def ratio(subject: Values, base: Values, axis: int) -> Any:
        return np.median(subject, axis) / np.median(base, axis)

    return bootstrap(ratio, subject, base, paired=paired)


def difference_of_means(subject: Values, base: Values, *, paired: bool) -> Interval:
    """Estimate mean(subject) - mean(base)."""

    def difference(subject: Values, base: Values, axis: int) -> Any:
        return subject.mean(axis) - base.mean(axis)

    found = bootstrap(difference, subject, base, paired=paired)
    assert found
    return found


def difference_over_seeds(subject: Values, base: Values) -> Interval:
    """Estimate the difference of two mean scores, both (seeds, questions) of the same questions.

    Questions are drawn for both together, and the seeds of each on their own; `scipy.stats`
    resamples along one axis only.
    """
    rng = np.random.default_rng(0)
    count = subject.shape[1]
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    means = []
    for scores in (subject, base):
        by_seed = drawn @ scores.T / count
        seeds = rng.integers(len(scores), size=(RESAMPLES, len(scores)))
        means.append(np.take_along_axis(by_seed, seeds, axis=1).mean(axis=1))
    low, high = _middle(means[0] - means[1])
    return Interval(value=float(subject.mean() - base.mean()), low=low, high=high)


def difference_of_estimates(subject: Interval, base: Interval) -> Interval:
    """Estimate a difference from two independent estimates (Newcombe's hybrid score interval)."""
    value = subject.value - base.value
    below = hypot(subject.value - subject.low, base.high - base.value)
    above = hypot(subject.high - subject.value, base.value - base.low)
    return Interval(value=value, low=value - below, high=value + above)


def _middle(values: Values) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
