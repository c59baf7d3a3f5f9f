"""Run checks at the same time; whatever one of them does, it ends in a finding."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from typing import Literal

from duet_device.errors import DeviceError, ModelProblem
from duet_device.pairs.pair import Pair, default_pair, open_pair

CHECKS = (
    "library",
    "memory",
    "model",
    "signature",
    "clock",
    "certificate",
    "proxy",
    "server",
    "match",
    "threads",
)
"""Functions of `duet_device.doctor.checks`."""
# These look at each server that is set.
_PER_SERVER = ("certificate", "proxy", "server", "match")
# It would measure the other checks.
_ALONE = "threads"
# From good to bad.
_STATUSES = ("ok", "skipped", "warning", "error")
# It reports that there is no pair; the checks that need one are then skipped.
_REPORTS_PAIR = "model"


@dataclass(frozen=True)
class Finding:
    """The result of a check."""

    status: Literal["ok", "skipped", "warning", "error"]
    """What it means for the next question; skipped: another check says what prevents this one."""
    value: str
    """What was found."""
    fix: str = ""
    """What to do; a command where there is one."""
    name: str = ""
    """The check; set by `run`."""
    seconds: float = field(default=0.0, compare=False)
    """How long the check took; set by `run`."""


class NoPair(ModelProblem):
    """No pair is installed."""


@dataclass
class Machine:
    """What the checks are about."""

    server: str
    """HOST:PORT of the cloud, or several separated by commas; one of them for each check."""
    pair_name: str | None
    """Name or directory of the pair; the default pair, if None."""
    threads: int | None
    """The setting; None if it is not set."""

    @cached_property
    def pair(self) -> Pair:
        """The installed pair.

        Raises:
            NoPair: no pair is installed.
            ModelProblem: its manifest cannot be used.
        """
        name = self.pair_name or default_pair()
        if not name:
            raise NoPair("no pair is installed")
        return open_pair(name)

    @property
    def pull(self) -> str:
        """The command that fetches the pair again."""
        return f"duet-device pull {self.pair.manifest.id} --server {self.server}"


Check = Callable[[Machine], Finding]


def run(names: Sequence[str], machine: Machine, load: Callable[[str], Check]) -> Iterator[Finding]:
    """Run checks, and yield their findings in order.

    Args:
        names: of `CHECKS`.
        machine: what the checks are about.
        load: returns a check's function.
    """
    # Not a pool: Ctrl-C does not wait for daemon threads.
    results = {name: queue.SimpleQueue[Finding]() for name in names}

    def work(name: str) -> None:
        results[name].put(_finding(name, machine, load))

    for name in names:
        if name != _ALONE:
            threading.Thread(target=work, args=(name,), daemon=True).start()
    for name in sorted(names, key=_ALONE.__eq__):
        if name == _ALONE:
            work(name)
        yield results[name].get()


def load(name: str) -> Check:
    """Return the function of a check."""
    # Imported here: what `checks` imports may be what is broken, and a check says so.
    check: Check = getattr(import_module("duet_device.doctor.checks"), name)
    return check


def _finding(name: str, machine: Machine, load: Callable[[str], Check]) -> Finding:
    began = time.perf_counter()
    servers = machine.server.split(",") if name in _PER_SERVER else [machine.server]
    found = [_one(name, replace(machine, server=server), load) for server in servers]
    worst = max(found, key=lambda each: _STATUSES.index(each.status))
    return replace(
        worst,
        name=name,
        value="; ".join(dict.fromkeys(each.value for each in found)),
        seconds=round(time.perf_counter() - began, 3),
    )


def _one(name: str, machine: Machine, load: Callable[[str], Check]) -> Finding:
    try:
        return load(name)(machine)
    except NoPair as error:
        if name != _REPORTS_PAIR:
            return Finding("skipped", f"needs a pair; see: duet-device doctor {_REPORTS_PAIR}")
        ask = f"duet-device ask --server {machine.server} QUESTION"
        return Finding("error", str(error), f"the first question fetches one: {ask}")
    except DeviceError as error:
        return Finding("error", str(error))
    except Exception as error:
        return Finding(
            "error",
            f"the check failed: {type(error).__name__}: {error}",
            "report it with the output of: duet-device doctor --json",
        )
