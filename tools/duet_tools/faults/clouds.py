"""Services that are killed or restarted while devices ask, with and without a second replica."""

import signal
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from duet_tools.faults.devices import SPLIT, UNREACHED, Asked, Device, devices, keep_asking
from duet_tools.faults.services import Service
from duet_tools.faults.trials import Setting, Trials, Unheld, row
from duet_tools.subjects.service import Script
from duet_tools.subjects.subject import READY_S

_DEVICES = 8
_STREAMS = 16
_SCRIPT = Script(tokens=60, pause_s=0.02)
_OPTIONS = ("--chunk-ms", "100")
_BUDGET = 64
_TIMEOUT_S = 20.0
_SIGNAL_S = _SCRIPT.tokens * _SCRIPT.pause_s
# Between two restarts.
_SETTLE_S = 2.0


class _Replica:
    """A service that can be started again on its port."""

    def __init__(self, setting: Setting, stack: ExitStack) -> None:
        self._setting = setting
        self._stack = stack
        self.service = stack.enter_context(Service(setting, *_OPTIONS, script=_SCRIPT))
        self.address = self.service.address

    def start_again(self) -> None:
        port = self.service.port
        service = Service(self._setting, *_OPTIONS, script=_SCRIPT, port=port)
        self.service = self._stack.enter_context(service)


def _ask_all(
    setting: Setting,
    asking: Sequence[Device],
    server: str,
    killed: _Replica,
    timeout_s: float = _TIMEOUT_S,
) -> list[Asked]:
    """Let all devices ask at about the same time, and kill a replica meanwhile."""
    delays = [setting.draws.uniform(0.0, 0.3) for _ in asking]

    def ask(device: Device, delay_s: float) -> Asked:
        time.sleep(delay_s)
        return device.ask(server, budget=_BUDGET, timeout=timeout_s)

    with ThreadPoolExecutor(len(asking)) as pool:
        asked = pool.map(ask, asking, delays)
        time.sleep(setting.draws.uniform(0.0, _SIGNAL_S))
        killed.service.kill()
        return list(asked)


@row(
    "cloud killed, second replica",
    f"SIGKILL of a replica at a random moment while {_DEVICES} devices ask",
    f"the split answers every question within its {_TIMEOUT_S:g} s",
)
def _killed(setting: Setting, trials: Trials) -> None:
    with ExitStack() as stack, devices(setting, setting.count(_DEVICES, 3)) as asking:
        replicas = [_Replica(setting, stack) for _ in range(2)]
        longest = 0.0
        for number in range(setting.count(50, 2)):
            # Devices prefer the one that is named first, which is killed in turn.
            first, second = replicas if number % 2 else replicas[::-1]
            killed = first if number % 4 < 3 else second
            with trials.trial():
                asked = _ask_all(setting, asking, f"{first.address},{second.address}", killed)
                longest = max(longest, *(each.seconds for each in asked))
                for each in asked:
                    each.check_split()
            killed.start_again()
    trials.figures["devices"] = len(asking)
    trials.figures["question, longest, s"] = longest


@row(
    "cloud killed, no other",
    f"SIGKILL of the only replica at a random moment while {_DEVICES} devices ask",
    "in time: the split's answer, one from the signal so far, or a defined error",
)
def _killed_alone(setting: Setting, trials: Trials) -> None:
    # No cloud comes back in time: every question takes all of it.
    timeout_s = 8.0 if setting.quick else _TIMEOUT_S
    with ExitStack() as stack, devices(setting, setting.count(_DEVICES, 3)) as asking:
        replica = _Replica(setting, stack)
        longest, split = 0.0, 0
        for _ in range(setting.count(20, 1)):
            with trials.trial():
                asked = _ask_all(setting, asking, replica.address, replica, timeout_s)
                longest = max(longest, *(each.seconds for each in asked))
                split += sum(each.outcome == SPLIT for each in asked)
                if others := {each.outcome for each in asked} - UNREACHED - {SPLIT}:
                    raise Unheld(", ".join(sorted(others)))
            replica.start_again()
    trials.figures[SPLIT] = split
    trials.figures["question, longest, s"] = longest


@row(
    "rolling restart",
    f"two replicas are restarted in turn (SIGTERM) under {_STREAMS} streams",
    "the split answers every question",
)
def _rolling(setting: Setting, trials: Trials) -> None:
    asked: list[Asked] = []
    with ExitStack() as stack, devices(setting, setting.count(_STREAMS, 4)) as asking:
        replicas = [_Replica(setting, stack) for _ in range(2)]
        server = ",".join(replica.address for replica in replicas)
        with keep_asking(asking, server, asked, budget=_BUDGET, timeout=_TIMEOUT_S):
            for _ in range(setting.count(5, 1)):
                for replica in replicas:
                    time.sleep(_SETTLE_S)
                    replica.service.send(signal.SIGTERM)
                    with trials.trial():
                        try:
                            replica.service.process.wait(READY_S)
                        except subprocess.TimeoutExpired:
                            raise Unheld("a service does not stop") from None
                    replica.start_again()
    for each in asked:
        with trials.trial():
            each.check_split()
    trials.figures["streams"] = len(asking)
    trials.figures["question, longest, s"] = max(each.seconds for each in asked)


ROWS = (_killed, _killed_alone, _rolling)
