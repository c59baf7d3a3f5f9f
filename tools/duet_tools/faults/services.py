"""Services that are killed, stopped and looked into, and waiting for what they do."""

import contextlib
import json
import signal
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
from duet_tools.subjects.service import Script, ServiceProcess
from duet_tools.subjects.subject import READY_S

_POLL_S = 0.02
_CALL_S = 5.0


@dataclass(frozen=True)
class Held:
    """What a process holds."""

    memory_mib: float
    """Resident memory, in MiB."""
    handles: int
    """Open file descriptors."""
    threads: int
    """Threads."""


class Service(ServiceProcess):
    """A service that logs JSON and may be killed, as a context manager; see `ServiceProcess`."""

    def __init__(
        self, setting: Setting, *options: str, script: Script | None, port: int | None = None
    ) -> None:
        self._began = time.monotonic()
        self.started_s = 0.0
        """Seconds until it was ready."""
        directory = setting.workload.directory
        super().__init__(directory, "--log-format", "json", *options, script=script, port=port)
        self._process = psutil.Process(self.process.pid)

    def __enter__(self) -> Self:
        self.wait_for("ready", READY_S)
        self.started_s = time.monotonic() - self._began
        return self

    def stop(self) -> None:
        """End the process, even if it was stopped and hears no other signal."""
        self.send(signal.SIGCONT)
        super().stop()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

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
        self.wait_until(lambda: len(self.events(name)) >= count, seconds)
        return self.events(name)[count - 1]

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process; nothing if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def kill(self) -> None:
        """Kill the process alone, and wait until it is gone."""
        self.send(signal.SIGKILL)
        self.process.wait()

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
            raise Unheld(f"the service ended ({self.process.returncode})")
        if "Traceback" in self.log():
            raise Unheld("a traceback in the service's log")
        try:
            self.capacity()
        except grpc.RpcError as error:
            raise Unheld("the service does not answer") from error


def comes_true(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition; return whether it came true within that time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_S)
    return True
