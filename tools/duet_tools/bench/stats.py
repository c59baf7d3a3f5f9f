"""Subjects measured in turns: medians and spreads over repeats, ratios, and the figure of both."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from duet_tools.results.figures import Figure, Series, Summary

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def in_turns(
    repeats: int,
    measures: Mapping[_Key, Callable[[], _Value]],
    step: Callable[[_Key], None] = lambda _: None,
) -> dict[_Key, list[_Value]]:
    """Measure each subject once to warm up, then `repeats` times; each runs first in turn.

    `step` is called with each subject that was just measured.
    """
    took: dict[_Key, list[_Value]] = {subject: [] for subject in measures}
    subjects = list(measures)
    for repeat in range(repeats + 1):
        turn = repeat % len(subjects)
        for subject in subjects[turn:] + subjects[:turn]:
            value = measures[subject]()
            step(subject)
            if repeat:
                took[subject].append(value)
    return took


def compared(
    id_: str,
    title: str,
    unit: str,
    subject: tuple[str, Sequence[float]],
    peer: tuple[str, Sequence[float]],
    **more: Any,
) -> Figure:
    """Return a figure of a subject next to a peer, each with its name and values.

    `more`: further fields of `Figure`; without `judged`, the ratio of both is judged.
    """
    mine, theirs = (
        Series(name=name, summary=summarise(values)) for name, values in (subject, peer)
    )
    if "judged" not in more:
        more |= {"judged": ratios(subject[1], peer[1]), "judged_unit": "ratio"}
    return Figure(id=id_, title=title, unit=unit, subject=mine, peer=theirs, **more)


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

    Neighboring runs share the machine's state, so what slows both down cancels out; a ratio of
    medians would keep it.
    """
    return summarise([mine / theirs for mine, theirs in zip(subject, peer, strict=True)])


def differences(subject: Sequence[float], peer: Sequence[float]) -> Summary:
    """Subject minus peer, repeat by repeat."""
    return summarise([mine - theirs for mine, theirs in zip(subject, peer, strict=True)])
