"""Services as processes: `duet-cloud serve`, with vLLM or with the tests' scripted engine."""

import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import grpc
import psutil

from duet_contract.channels import open_channel
from duet_contract.v1.control_pb2 import GetCapacityRequest, GetCapacityResponse
from duet_contract.v1.control_pb2_grpc import ControlServiceStub
from duet_tools.faults.trials import Setting, Unheld
from duet_tools.subjects.children import Child, free_port
from duet_tools.subjects.subject import READY_S, engine_environment

_POLL_S = 0.02
_CALL_S = 5.0


@dataclass(frozen=True)
class Script:
    """What the scripted engine does."""

    tokens: int = 60
    """Tokens of a signal."""
    pause_s: float = 0.005
    """Seconds between two tokens of a stream."""
    slots: int = 64
    """Most streams at a time."""
    timeout_s: float = 2.0
    """Seconds after which the service takes a silent engine for one that hangs."""
    start_s: float = 0.0
    """Seconds until the engine is loaded."""

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the scripted service reads."""
        values = {
            "TOKENS": self.tokens,
            "PAUSE_S": self.pause_s,
            "SLOTS": self.slots,
            "TIMEOUT_S": self.timeout_s,
            "START_S": self.start_s,
        }
        return {f"SCRIPT_{name}": str(value) for name, value in values.items()}


@dataclass(frozen=True)
class Held:
    """What a process holds."""

    memory_mib: float
    """Resident memory, in MiB."""
    handles: int
    """Open file descriptors."""
    threads: int
    """Threads."""


class Service:
    """A service on a port of its own, as a context manager.

    Args:
        setting: names the pair.
        options: further options of `duet-cloud serve`.
        script: what the engine does; None starts vLLM.
        port: where it listens; a free one, if None.
    """

    def __init__(
        self, setting: Setting, *options: str, script: Script | None, port: int | None = None
    ) -> None:
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        module = "tests.doubles.scripted_service" if script else "duet_cloud"
        command = [sys.executable, "-m", module, "serve", "--pair", str(setting.pair)]
        command += ["--port", str(self.port), "--log-format", "json", *options]
        environment = script.environment if script else engine_environment()
        self._began = time.monotonic()
        self.started_s = 0.0
        """Seconds until it was ready."""
        self._child = Child("the service", command, environment)
        self._process = psutil.Process(self._child.process.pid)

    def __enter__(self) -> Self:
        try:
            self.wait_for("ready", READY_S)
        except BaseException:
            self._child.stop()
            raise
        self.started_s = time.monotonic() - self._began
        return self

    def __exit__(self, *_: object) -> None:
        # A stopped process hears no other signal.
        self.send(signal.SIGCONT)
        self._child.stop()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._child.process.poll() is None

    def log(self) -> str:
        """Return what it logged."""
        return self._child.log()

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log's events of a name."""
        found = []
        for line in self.log().splitlines():
            if line.startswith("{") and f'"{name}"' in line:
                # The last line may not be complete.
                with contextlib.suppress(ValueError):
                    found.append(json.loads(line))
        return [event for event in found if event.get("event") == name]

    def wait_for(self, name: str, seconds: float, count: int = 1) -> dict[str, Any]:
        """Wait for the log's `count`-th event of a name.

        Raises:
            BenchError: the process ended, or the time passed.
        """
        self._child.wait_until(lambda: len(self.events(name)) >= count, seconds)
        return self.events(name)[count - 1]

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process; nothing if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._child.process.send_signal(number)

    def kill(self) -> None:
        """Kill the process alone, and wait until it is gone."""
        self.send(signal.SIGKILL)
        self._child.process.wait()

    def wait_ended(self, seconds: float) -> bool:
        """Return whether the process ended within that time."""
        return settled(lambda: not self.alive, seconds)

    def children(self) -> list[psutil.Process]:
        """Return every process that it started and that runs."""
        try:
            return list(self._process.children(recursive=True))
        except psutil.NoSuchProcess:
            return []

    def held(self) -> Held:
        """Return what the process holds."""
        with self._process.oneshot():
            return Held(
                self._process.memory_info().rss / 2**20,
                self._process.num_fds(),
                self._process.num_threads(),
            )

    def capacity(self) -> GetCapacityResponse:
        """Ask the service how much it carries."""
        with open_channel(self.address) as channel:
            answer: GetCapacityResponse = ControlServiceStub(channel).GetCapacity(
                GetCapacityRequest(), timeout=_CALL_S
            )
        return answer

    def check_sound(self) -> None:
        """Check that the service runs, answers, and has logged no traceback.

        Raises:
            Unheld: it does not.
        """
        if not self.alive:
            raise Unheld(f"the service ended ({self._child.process.returncode})")
        if "Traceback" in self.log():
            raise Unheld("a traceback in the service's log")
        try:
            self.capacity()
        except grpc.RpcError as error:
            raise Unheld("the service does not answer") from error


def settled(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition; return whether it came true within that time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_S)
    return True
