"""An engine whose core is killed or stops; the service is to notice, and to serve again."""

import signal
import time
from collections.abc import Sequence

import grpc
import psutil

from duet_contract.v1.control_pb2 import SERVING_STATE_READY
from duet_tools.faults.devices import Asked, devices, keep_asking
from duet_tools.faults.services import Service, comes_true
from duet_tools.faults.trials import Setting, Trials, Unheld, row
from duet_tools.subjects.service import Script

_NOTICED_S = 10.0
_LATER_S = 5.0
# On a processor, too: a step of a small model takes less.
_OPTIONS = ("--engine-failure", "restart", "--engine-timeout-s", "3")
_SCRIPT = Script(tokens=400, pause_s=0.05, start_s=1.0)
_MOST_S = 180.0
_DEVICES = 3
_EXPECTED = (
    f"noticed within {_NOTICED_S:g} s, the split answers every question, no process is left, "
    f"serving again within the engine's start time and {_LATER_S:g} s"
)


def _state_is(service: Service, ready: bool) -> bool:
    try:
        return (service.capacity().state == SERVING_STATE_READY) == ready
    except grpc.RpcError:
        return False


def _core(children: Sequence[psutil.Process]) -> psutil.Process:
    """Return the engine's core: the process that holds the most memory."""
    return max(children, key=lambda child: child.memory_info().rss)


def _fail(setting: Setting, trials: Trials, number: signal.Signals) -> None:
    script = None if setting.vllm else _SCRIPT
    noticed: list[float] = []
    again: list[float] = []
    asked: list[Asked] = []
    with (
        Service(setting, *_OPTIONS, script=script) as service,
        Service(setting, script=_SCRIPT) as other,
        devices(setting, _DEVICES) as asking,
    ):
        servers = f"{service.address},{other.address}"
        for count in range(1, setting.count(2, 1) + 1):
            with trials.trial():
                before = [child for child in service.children() if not _is_tracker(child)]
                with keep_asking(asking, servers, asked):
                    if not comes_true(lambda: service.capacity().running > 0, 5):
                        raise Unheld("no question arrives")
                    failed = time.monotonic()
                    _core(before).send_signal(number)
                    if not comes_true(lambda: _state_is(service, False), _MOST_S):
                        raise Unheld("the failure is not noticed")
                    noticed.append(time.monotonic() - failed)
                    service.wait_for("ready again", _MOST_S, count)
                    again.append(time.monotonic() - failed)
                if noticed[-1] > _NOTICED_S:
                    raise Unheld("noticed too late")
                if again[-1] - noticed[-1] > service.started_s + _LATER_S:
                    raise Unheld("serving again too late")
                if left := psutil.wait_procs(before, 1)[1]:
                    raise Unheld(f"a process of the old engine lives on: {_described(left[0])}")
                asking[0].ask(service.address, budget=8).check_split()
        started_s = service.started_s
    for each in asked:
        with trials.trial():
            each.check_split()
    trials.figures["engine's start, s"] = started_s
    if again:
        trials.figures["noticed, longest, s"] = max(noticed)
        trials.figures["serving again, longest, s"] = max(again)
    trials.figures["question, longest, s"] = max(each.seconds for each in asked)


def _is_tracker(child: psutil.Process) -> bool:
    """Return whether a process is Python's resource tracker, which serves the next engine, too."""
    try:
        return "resource_tracker" in " ".join(child.cmdline())
    except psutil.NoSuchProcess:
        return False


def _described(process: psutil.Process) -> str:
    try:
        return f"{process.status()}, {' '.join(process.cmdline())[:80]}"
    except psutil.NoSuchProcess:
        return "gone by now"


@row(
    "engine core killed",
    "SIGKILL of the core while devices ask, a second replica is there",
    _EXPECTED,
    "engine",
)
def _killed(setting: Setting, trials: Trials) -> None:
    _fail(setting, trials, signal.SIGKILL)


@row(
    "engine core stopped",
    "SIGSTOP of the core while devices ask, a second replica is there",
    _EXPECTED,
    "engine",
)
def _stopped(setting: Setting, trials: Trials) -> None:
    _fail(setting, trials, signal.SIGSTOP)


@row(
    "service killed",
    "SIGKILL of the service",
    f"no process of the engine is left after {_NOTICED_S:g} s",
    "engine",
)
def _service_killed(setting: Setting, trials: Trials) -> None:
    for _ in range(setting.count(1 if setting.vllm else 10, 2)):
        with trials.trial(), Service(setting, script=None if setting.vllm else _SCRIPT) as service:
            children = service.children()
            service.kill()
            if psutil.wait_procs(children, _NOTICED_S)[1]:
                raise Unheld("processes of the engine live on")


ROWS = (_killed, _stopped, _service_killed)
