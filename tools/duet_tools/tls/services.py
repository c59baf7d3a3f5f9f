"""Two services alike but for mutual TLS, with this process enrolled at the one that has it."""

import contextlib
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

# Before gRPC: it selects the TLS versions.
from duet_device.identity.enrollment import enroll

import grpc  # isort: skip

from duet_contract.channels import open_aio_channel
from duet_tools.subjects.authority import PASSPHRASE, authority, invite, variables
from duet_tools.subjects.children import Child, free_port, serves
from duet_tools.subjects.placement import spread_out, staying_on
from duet_tools.subjects.subject import READY_S, engine_environment, engine_flags
from duet_tools.subjects.workload import Workload

# Counted like any limits, and never reached.
_LIMITS = "[limits.default]\nrate = 1000000\nconcurrency = 1000\ntokens = 1000000000000\n"


@dataclass(frozen=True)
class Side:
    """A service and how it is reached; None: in the clear."""

    port: int
    credentials: grpc.ChannelCredentials | None

    def channel(self, port: int | None = None) -> grpc.aio.Channel:
        """Return a connection of its own, to the service or to a proxy in front of it."""
        return open_aio_channel(f"127.0.0.1:{port or self.port}", self.credentials)


# In the clear, with mutual TLS.
Sides = tuple[Side, Side]


@contextmanager
def scripted(pair: str, tokens: int, pause_s: float) -> Iterator[Sides]:
    """Services with the tests' scripted engine: signals of `tokens`, one each `pause_s`."""
    environment = {"SCRIPT_TOKENS": str(tokens), "SCRIPT_PAUSE_S": str(pause_s)}
    command = ["-m", "tests.doubles.scripted_service", "serve", "--pair", pair]
    with _started(command, environment) as (_, sides):
        yield sides


@contextmanager
def engines(pair: str) -> Iterator[Sides]:
    """Services with vLLM each, loaded at the same time; this thread off their workers' cores.

    Raises:
        BenchError: one of them does not start.
    """
    workload = Workload.open(pair)
    command = ["-m", "duet_cloud", "serve", "--pair", str(workload.directory)]
    command += engine_flags(workload, [])
    with _started(command, engine_environment()) as (children, sides):
        plain, secured = (spread_out(child.process.pid) for child in children)
        with staying_on(plain & secured):
            yield sides


@contextmanager
def _started(
    command: list[str], environment: dict[str, str]
) -> Iterator[tuple[tuple[Child, Child], Sides]]:
    """The same service twice, ready, and the processes; this process is enrolled at the second."""
    ports, enrollment = (free_port(), free_port()), free_port()
    with ExitStack() as stack:
        tls, code = stack.enter_context(invited())

        def start(name: str, port: int, *options: str) -> Child:
            started = [sys.executable, *command, "--port", str(port), *options]
            return stack.enter_context(Child(name, started, environment))

        plain = start("the service in the clear", ports[0])
        more = (*tls, "--enrollment-port", str(enrollment))
        secured = start("the service with mutual TLS", ports[1], *more)
        secured.wait_until(lambda: listens(enrollment), READY_S)
        identity = enroll(f"127.0.0.1:{enrollment}", code).identity
        sides = Side(ports[0], None), Side(ports[1], identity.credentials())
        for child, side in zip((plain, secured), sides, strict=True):
            address = f"127.0.0.1:{side.port}"
            child.wait_until(partial(serves, address, side.credentials), READY_S)
        yield (plain, secured), sides


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
