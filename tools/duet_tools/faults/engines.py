"""An engine whose core is killed or stops; the service is to notice, and to serve again."""

import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
import psutil

from duet_contract.v1.control_pb2 import SERVING_STATE_READY
from duet_tools.faults.devices import Asked, Device
from duet_tools.faults.services import Script, Service, settled
from duet_tools.faults.trials import Row, Setting, Trials, Unheld

_NOTICED_S = 10.0
_LATER_S = 5.0
# On a processor, too: a step of a small model takes less.
_OPTIONS = ("--engine-failure", "restart", "--engine-timeout-s", "3")
_SCRIPT = Script(tokens=400, pause_s=0.05, start_s=1.0)
_MOST_S = 180.0
# Of the question that is asked when the engine fails.
_DEADLINE_S = 30.0


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
    with (
        Service(setting, *_OPTIONS, script=script) as service,
        Service(setting, script=_SCRIPT) as other,
        Device(setting) as device,
        ThreadPoolExecutor(1) as pool,
    ):
        started_s = service.started_s
        servers = f"{service.address},{other.address}"
        for count in range(1, setting.count(2, 1) + 1):
            with trials.trial():
                device.ask(service.address, budget=8).check_split()
                before = [child for child in service.children() if not _is_tracker(child)]
                asking = pool.submit(device.ask, servers, timeout=_DEADLINE_S)
                if not settled(lambda: service.capacity().running > 0, 5):
                    raise Unheld("the question does not arrive")
                failed = time.monotonic()
                _core(before).send_signal(number)
                if not settled(lambda: _state_is(service, False), _MOST_S):
                    raise Unheld("the failure is not noticed")
                noticed.append(time.monotonic() - failed)
                service.wait_for("ready again", _MOST_S, count)
                again.append(time.monotonic() - failed)
                _check(noticed[-1], again[-1], started_s, asking.result())
                if psutil.wait_procs(before, 1)[1]:
                    raise Unheld("a process of the old engine lives on")
                device.ask(service.address, budget=8).check_split()
    trials.figures["engine's start, s"] = started_s
    if noticed:
        trials.figures["noticed, longest, s"] = max(noticed)
    if again:
        trials.figures["serving again, longest, s"] = max(again)


def _check(noticed_s: float, again_s: float, started_s: float, asked: Asked) -> None:
    """Check the times of a failure, and what became of the question meanwhile."""
    if noticed_s > _NOTICED_S:
        raise Unheld("noticed too late")
    if again_s - noticed_s > started_s + _LATER_S:
        raise Unheld("serving again too late")
    asked.check_split()


def _is_tracker(child: psutil.Process) -> bool:
    """Return whether a process is Python's resource tracker, which serves the next engine, too."""
    try:
        return "resource_tracker" in " ".join(child.cmdline())
    except psutil.NoSuchProcess:
        return False


def _killed(setting: Setting, trials: Trials) -> None:
    _fail(setting, trials, signal.SIGKILL)


def _stopped(setting: Setting, trials: Trials) -> None:
    _fail(setting, trials, signal.SIGSTOP)


def _service_killed(setting: Setting, trials: Trials) -> None:
    for _ in range(setting.count(1 if setting.vllm else 10, 2)):
        with trials.trial(), Service(setting, script=None if setting.vllm else _SCRIPT) as service:
            children = service.children()
            service.kill()
            if psutil.wait_procs(children, _NOTICED_S)[1]:
                raise Unheld("processes of the engine live on")


_EXPECTED = (
    f"noticed within {_NOTICED_S:g} s, another replica completes the answer, no process is left, "
    f"serving again within the engine's start time and {_LATER_S:g} s"
)
ROWS = (
    Row(
        "engine core killed",
        "SIGKILL of the core while it generates, a second replica is there",
        _EXPECTED,
        _killed,
        "engine",
    ),
    Row(
        "engine core stopped",
        "SIGSTOP of the core while it generates, a second replica is there",
        _EXPECTED,
        _stopped,
        "engine",
    ),
    Row(
        "service killed",
        "SIGKILL of the service",
        f"no process of the engine is left after {_NOTICED_S:g} s",
        _service_killed,
        "engine",
    ),
)
