"""An engine whose core is killed or stops; the service is to notice, and to serve again."""

import signal
import threading
import time

import grpc
import psutil

from duet_contract.v1.control_pb2 import SERVING_STATE_READY
from duet_tools.faults.devices import Device
from duet_tools.faults.services import Script, Service, settled
from duet_tools.faults.trials import Row, Setting, Trials, Unheld

_NOTICED_S = 10.0
_LATER_S = 5.0
# On a processor, too: a step of a small model takes less.
_OPTIONS = ("--engine-failure", "restart", "--engine-timeout-s", "3")
_SCRIPT = Script(tokens=400, pause_s=0.05, start_s=1.0)
_MOST_S = 180.0


def _state_is(service: Service, ready: bool) -> bool:
    try:
        return (service.capacity().state == SERVING_STATE_READY) == ready
    except grpc.RpcError:
        return False


def _core(service: Service) -> psutil.Process:
    """Return the engine's core: the process that holds the most memory below the service."""
    return max(service.children(), key=lambda child: child.memory_info().rss)


def _fail(setting: Setting, trials: Trials, number: signal.Signals) -> None:
    script = None if setting.vllm else _SCRIPT
    began = time.monotonic()
    with Service(setting, *_OPTIONS, script=script) as service, Device(setting) as device:
        started_s = time.monotonic() - began
        noticed: list[float] = []
        again: list[float] = []
        for count in range(setting.count(3, 1)):
            with trials.trial():
                asking = threading.Thread(
                    target=device.ask, args=(service.address,), kwargs={"timeout": 30.0}
                )
                device.ask(service.address, budget=8).check_split()
                before = service.children()
                asking.start()
                settled(lambda: service.capacity().running > 0, 5)
                failed = time.monotonic()
                _core(service).send_signal(number)
                if not settled(lambda: _state_is(service, False), _MOST_S):
                    raise Unheld("the failure is not noticed")
                noticed.append(time.monotonic() - failed)
                asking.join(_NOTICED_S)
                if asking.is_alive():
                    raise Unheld("the device still waits")
                service.wait_for("ready again", _MOST_S, count + 1)
                again.append(time.monotonic() - failed)
                if noticed[-1] > _NOTICED_S:
                    raise Unheld("noticed too late")
                if again[-1] - noticed[-1] > started_s + _LATER_S:
                    raise Unheld("serving again too late")
                if any(child.is_running() and _is_core(child) for child in before):
                    raise Unheld("a process of the old engine lives on")
                device.ask(service.address, budget=8).check_split()
        if noticed:
            trials.figures["noticed, longest, s"] = max(noticed)
        if again:
            trials.figures["serving again, longest, s"] = max(again)
        trials.figures["engine's start, s"] = started_s


def _is_core(child: psutil.Process) -> bool:
    # Python's resource tracker serves the next engine, too.
    try:
        return "resource_tracker" not in " ".join(child.cmdline())
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
    f"noticed within {_NOTICED_S:g} s, the device no longer waits, no process is left, serving "
    f"again within the engine's start time and {_LATER_S:g} s"
)
ROWS = (
    Row(
        "engine core killed", "SIGKILL of the core while it generates", _EXPECTED, _killed, "engine"
    ),
    Row(
        "engine core stopped",
        "SIGSTOP of the core while it generates",
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
