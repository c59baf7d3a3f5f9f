"""Medians and spreads over repeats, and ratios between two subjects measured in turns."""

import statistics
from collections.abc import Sequence

from duet_tools.results.figures import Summary


def summarise(values: Sequence[float]) -> Summary:
    """Return median, smallest, largest, and spread of a figure's repeats."""
    median = statistics.median(values)
    low, high = min(values), max(values)
    return Summary(
        values=tuple(values),
        median=median,
        min=low,
        max=high,
        spread=(high - low) / abs(median) if median else 0.0,
    )


def ratios(subject: Sequence[float], peer: Sequence[float]) -> Summary:
    """Subject over peer, repeat by repeat.

    Neighbouring runs share the machine's state, so what slows both down cancels out; a ratio of
    medians would keep it.
    """
    return summarise([mine / theirs for mine, theirs in zip(subject, peer, strict=True)])


def differences(subject: Sequence[float], peer: Sequence[float]) -> Summary:
    """Subject minus peer, repeat by repeat."""
    return summarise([mine - theirs for mine, theirs in zip(subject, peer, strict=True)])
