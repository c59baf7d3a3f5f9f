"""When devices ask: patterns of requests, each as one stream of times for all devices together.

A million independent devices that each ask now and then are, taken together, one Poisson process
(Palm-Khintchine), so devices need not be simulated one by one.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from duet_tools.errors import UsageProblem

Kind = Literal["constant", "poisson", "daily", "sessions"]
KINDS: tuple[Kind, ...] = ("constant", "poisson", "daily", "sessions")

_DAY_S = 86400.0
# Weights of a day's hours, from midnight. An example, not measured: quiet nights, and a peak in the
# evening of twice the mean.
HOURS = (
    2.0, 1.4, 1.0, 0.8, 0.8, 1.0, 1.8, 3.0, 4.2, 5.0, 5.2, 5.2,
    5.2, 5.0, 4.9, 4.9, 5.1, 5.6, 6.4, 7.4, 8.2, 7.6, 5.4, 3.4,
)  # fmt: skip
RANGES = {"per_hour": (1e-6, 1e6), "session_questions": (1.0, 1e6), "think_s": (1e-3, 1e7)}
"""Least and most of the settings of a pattern that are numbers."""
_WEIGHTS = (1e-6, 1e6)


@dataclass(frozen=True)
class Pattern:
    """A pattern of requests."""

    kind: Kind = "poisson"
    """How arrivals are drawn."""
    per_hour: float = 1.0
    """Questions per device and hour, on average over a day."""
    hours: Sequence[float] = HOURS
    """Weights of the hours of a day, for `daily`."""
    session_questions: float = 4.0
    """Mean number of questions in a session."""
    think_s: float = 30.0
    """Mean seconds between an answer and the next question."""

    def __post_init__(self) -> None:
        for name, (least, most) in RANGES.items():
            value = getattr(self, name)
            # NaN is in no range.
            if not least <= value <= most:
                raise UsageProblem(f"{name} is {value:g}: give a number from {least:g} to {most:g}")
        least, most = _WEIGHTS
        weights = [each for each in self.hours if each == 0 or least <= each <= most]
        if len(self.hours) != 24 or len(weights) != 24 or not any(weights):
            raise UsageProblem(
                f"hours are 24 weights, each 0 or from {least:g} to {most:g}, not all of them 0"
            )

    def starts(self, devices: int, draws: random.Random, until: float) -> Iterator[float]:
        """Yield the times when questions are asked, or sessions begin, in order."""
        rate = devices * self.per_hour / 3600
        if self.kind == "constant":
            return _constant(rate, draws, until)
        if self.kind == "sessions":
            rate /= self.session_questions
        if self.kind == "daily":
            mean = sum(self.hours) / 24
            most = max(self.hours) / mean
            return _thinned(rate * most, self._share(mean * most), draws, until)
        return _poisson(rate, draws, until)

    def questions(self, draws: random.Random) -> int:
        """Questions of one session: geometric, as if users were as likely to leave after each."""
        if self.kind != "sessions" or self.session_questions == 1:
            return 1
        stay = 1 - 1 / self.session_questions
        return 1 + int(math.log(1 - draws.random()) / math.log(stay))

    def _share(self, most: float) -> Callable[[float], float]:
        return lambda at: self.hours[int(at % _DAY_S // 3600)] / most


def _constant(rate: float, draws: random.Random, until: float) -> Iterator[float]:
    """As far apart as can be: devices that ask by the clock, spread evenly."""
    at = draws.random() / rate
    while at < until:
        yield at
        at += 1 / rate


def _poisson(rate: float, draws: random.Random, until: float) -> Iterator[float]:
    at = draws.expovariate(rate)
    while at < until:
        yield at
        at += draws.expovariate(rate)


def _thinned(
    most: float, share: Callable[[float], float], draws: random.Random, until: float
) -> Iterator[float]:
    """A Poisson process whose rate varies, by thinning (Lewis and Shedler, 1979)."""
    for at in _poisson(most, draws, until):
        if draws.random() < share(at):
            yield at
