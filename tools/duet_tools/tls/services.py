"""Services next to each other, with this process enrolled at those that have mutual TLS."""

import contextlib
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import grpc

from duet_contract.channels import open_aio_channel
from duet_device.identity.enrollment import enroll
from duet_tools.subjects.authority import PASSPHRASE, authority, invite, variables
from duet_tools.subjects.children import Child, free_port, serves
from duet_tools.subjects.placement import spread_out, staying_on
from duet_tools.subjects.subject import READY_S, engine_environment, engine_flags
from duet_tools.subjects.workload import Workload

# Counted like any limits, and never reached.
_LIMITS = "[limits.default]\nrate = 1000000\nconcurrency = 1000\ntokens = 1000000000000\n"


@dataclass(frozen=True)
class Start:
    """How a service is started."""

    options: Sequence[str] = ()
    """Options of `duet-cloud serve`."""
    environment: dict[str, str] = field(default_factory=dict)
    secured: bool = False
    """Whether it has mutual TLS."""


@dataclass(frozen=True)
class Side:
    """A service and how it is reached."""

    port: int
    credentials: grpc.ChannelCredentials | None = None
    """None: in the clear."""
    process: int = 0

    def channel(self, port: int | None = None) -> grpc.aio.Channel:
        """Return a connection of its own, to the service or to a proxy in front of it."""
        return open_aio_channel(f"127.0.0.1:{port or self.port}", self.credentials)


def script(**values: object) -> dict[str, str]:
    """Return the environment of the tests' scripted engine: `tokens` of a signal, `pause_s` each."""
    return {f"SCRIPT_{name.upper()}": str(value) for name, value in values.items()}


def scripted(
    pair: str, *starts: Start, database: str | None = None
) -> AbstractContextManager[list[Side]]:
    """Services with the tests' scripted engine; see `started`."""
    command = ["tests.doubles.scripted_service", "serve", "--pair", pair]
    return started(command, starts, database)


@contextmanager
def engines(pair: str) -> Iterator[list[Side]]:
    """Services with vLLM, in the clear and secured; this thread is off their workers' cores.

    Raises:
        BenchError: one of them does not start.
    """
    workload = Workload.open(pair)
    command = ["duet_cloud", "serve", "--pair", str(workload.directory)]
    command += engine_flags(workload, [])
    alike = [Start(environment=engine_environment(), secured=each) for each in (False, True)]
    with ExitStack() as stack:
        sides = stack.enter_context(started(command, alike))
        stack.enter_context(staying_on(set.intersection(*(spread_out(s.process) for s in sides))))
        yield sides


@contextmanager
def started(
    command: Sequence[str], starts: Sequence[Start], database: str | None = None
) -> Iterator[list[Side]]:
    """Start services at the same time, and yield them when all are ready.

    Args:
        command: Python's module and arguments, the same for all.
        starts: what they differ in. This process is enrolled at those that are secured, which
            share one authority.
        database: URL of an empty PostgreSQL database that they share; None: none.

    Raises:
        BenchError: one of them does not start.
    """
    with ExitStack() as stack:
        enrollment, credentials, identities = free_port(), None, list[str]()
        if any(start.secured for start in starts):
            identities, code = stack.enter_context(invited(database))
        first = [*identities, "--enrollment-port", str(enrollment)]
        children = []
        for number, start in enumerate(starts, 1):
            port, more = free_port(), first if start.secured else []
            # One of them is enough.
            first = identities if start.secured else first
            whole = [sys.executable, "-m", *command, "--port", str(port), *start.options, *more]
            child = stack.enter_context(Child(f"service {number}", whole, start.environment))
            children.append((child, port))
        if identities:
            children[-1][0].wait_until(lambda: listens(enrollment), READY_S)
            credentials = enroll(f"127.0.0.1:{enrollment}", code).identity.credentials()
        sides = []
        for (child, port), start in zip(children, starts, strict=True):
            own = credentials if start.secured else None
            child.wait_until(partial(serves, f"127.0.0.1:{port}", own), READY_S)
            sides.append(Side(port, own, child.process.pid))
        yield sides


@contextmanager
def invited(database: str | None = None) -> Iterator[tuple[list[str], str]]:
    """An authority with limits on whoever asks: a service's options for it, and a code.

    `database`: URL of an empty PostgreSQL database for its records; None: in its directory.
    """
    # Not an option of a command, which other users of the machine see.
    more = {"DUET_DATABASE": database} if database else {}
    with (
        tempfile.TemporaryDirectory() as scratch,
        variables(DUET_HOME=f"{scratch}/home", DUET_PASSPHRASE=PASSPHRASE, **more),
        authority(Path(scratch, "authority")) as directory,
    ):
        (directory / "access.toml").write_text(_LIMITS, "utf-8")
        yield ["--tls-dir", str(directory)], invite("bench")


def listens(port: int) -> bool:
    """Return whether something listens on a port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
