"""Processes the bench starts: each in a group of its own, its output in a file, always ended."""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING, Any, Self

from duet_tools.errors import BenchError
from duet_tools.subjects.placement import spread_out

if TYPE_CHECKING:
    import grpc

_STOP_S = 15.0
_POLL_S = 0.1
# Linux hands out ports from 32768 on (`net.ipv4.ip_local_port_range`).
_PORTS = range(20_000, 32_000)


def serves(address: str, credentials: "grpc.ChannelCredentials | None" = None) -> bool:
    """Return whether a service's own health check says that it answers questions."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    from duet_contract.channels import open_channel
    from duet_contract.v1 import inference_pb2

    service = inference_pb2.DESCRIPTOR.services_by_name["InferenceService"].full_name
    request = health_pb2.HealthCheckRequest(service=service)
    with open_channel(address, credentials) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=2)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def free_port() -> int:
    """Return a TCP port of the loopback address that is free, and that no one gets by chance.

    It is below those that systems hand out, so that a service which ends can be started again on it.
    """
    while True:
        port = secrets.choice(_PORTS)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Child:
    """A process that is ended, with all that it started, when the bench is done with it.

    Args:
        name: in messages.
        command: program and arguments.
        environment: added to the bench's own.
        talks: whether it reads and says lines of JSON on stdin and stdout; its log is stderr alone.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: dict[str, str] | None = None,
        *,
        talks: bool = False,
    ) -> None:
        self.name = name
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed in stop)
        self._logged = ""
        pipe = subprocess.PIPE if talks else None
        try:
            self.process = subprocess.Popen(
                command,
                stdin=pipe or subprocess.DEVNULL,
                stdout=pipe or self._log,
                stderr=self._log,
                env={**os.environ, **(environment or {})},
                # Ctrl-C belongs to the bench, which then ends its children in order.
                start_new_session=True,
            )
        except OSError as error:
            self._log.close()
            raise BenchError(f"cannot start {name}: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until `ready` says so; end the process if it does not.

        Raises:
            BenchError: the process ended, or the time passed.
        """
        end = time.monotonic() + seconds
        try:
            while not ready():
                if self.process.poll() is not None:
                    raise BenchError(f"{self.name} ended at once: {self.last_line()}")
                if time.monotonic() > end:
                    raise BenchError(f"{self.name} is not ready after {seconds:g} s")
                time.sleep(_POLL_S)
        except BaseException:
            self.stop()
            raise

    def tell(self, message: object) -> None:
        """Write a line of JSON to a process that talks.

        Raises:
            BenchError: the process ended.
        """
        assert self.process.stdin
        try:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()
        except OSError as error:
            raise BenchError(f"{self.name} ended: {self.last_line()}") from error

    def line(self) -> str:
        """Return the next line from a process that talks; wait for it.

        Raises:
            BenchError: the process ended.
        """
        assert self.process.stdout
        if not (line := self.process.stdout.readline()):
            raise BenchError(f"{self.name} ended: {self.last_line()}")
        return line.decode().strip()

    def hear(self) -> Any:
        """Return the next line of JSON; see `line`."""
        return json.loads(self.line())

    def log(self) -> str:
        """Return what the process has logged so far."""
        if self._log.closed:
            return self._logged
        # Not by reading on: the process writes where the offset that it shares with us is.
        handle = self._log.fileno()
        return os.pread(handle, os.fstat(handle).st_size, 0).decode("utf-8", "replace")

    def last_line(self) -> str:
        """Return the last line that the process logged."""
        lines = self.log().strip().splitlines()
        return lines[-1].strip() if lines else f"it said nothing (exit {self.process.poll()})"

    def ending(self) -> str | None:
        """Return the last line of its log, if it has ended by itself."""
        return None if self.process.poll() is None else self.last_line()

    def spread_out(self) -> set[int]:
        """Keep its processes off the cores that some of them are bound to; return the others."""
        return spread_out(self.process.pid)

    def stop(self) -> None:
        """End the process and everything it started; nothing the second time."""
        if self._log.closed:
            return
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_STOP_S)
        # What it started is in its group, and may have outlived it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                # The process may not have read the last line.
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self._logged = self.log()
        self._log.close()
