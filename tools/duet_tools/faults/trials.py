"""Trials of a row: how many held, and what the others showed."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from duet_tools.subjects.workload import Workload


class Unheld(Exception):
    """A trial showed something else than its row expects; the message says what, in few words."""


class Void(Exception):
    """The fault of a trial did not happen; the trial does not count."""


class NotRun(Exception):
    """A row cannot be run here; the message says why."""


@dataclass
class Trials:
    """Counts a row's trials."""

    held: int = 0
    """Trials that showed what the row expects."""
    otherwise: Counter[str] = field(default_factory=Counter)
    """What the other trials showed."""
    figures: dict[str, float] = field(default_factory=dict)
    """Measured values by name, with their unit."""

    @property
    def count(self) -> int:
        """Number of trials."""
        return self.held + self.otherwise.total()

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Count one trial, which holds unless it raises `Unheld`."""
        try:
            yield
        except Void:
            return
        except Unheld as error:
            self.otherwise[str(error)] += 1
        else:
            self.held += 1


@dataclass(frozen=True)
class Setting:
    """What a row is run with."""

    workload: Workload
    """The pair, and questions to its service."""
    quick: bool
    """Whether this is the short version."""
    vllm: bool
    """Whether rows about the engine start vLLM."""
    scratch: Path
    """Directory that is deleted in the end."""
    draws: random.Random
    """Every random choice follows from it."""

    def count(self, full: int, quick: int) -> int:
        """Return the number of trials of this version."""
        return quick if self.quick else full

    def chosen(self, full: list[int], quick: int) -> list[int]:
        """Return all of a list, or as many of it, in order, as the short version tries."""
        if not self.quick or len(full) <= quick:
            return full
        return sorted(self.draws.sample(full, quick))


@dataclass(frozen=True)
class Row:
    """A fault, and what has to hold."""

    name: str
    """Unique."""
    fault: str
    """What is done."""
    expected: str
    """What a trial has to show to hold."""
    run: Callable[[Setting, Trials], None]
    """Runs the trials."""
    engine: Literal["scripted", "engine", "none"] = "scripted"
    """`engine`: vLLM, or a scripted one in the short version; `none`: no service is asked."""


def row(
    name: str, fault: str, expected: str, engine: Literal["scripted", "engine", "none"] = "scripted"
) -> Callable[[Callable[[Setting, Trials], None]], Row]:
    """Make a row of the function that runs its trials; see `Row`."""
    return lambda run: Row(name, fault, expected, run, engine)
