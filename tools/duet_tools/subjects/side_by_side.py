"""Services next to each other, with this process enrolled at those that have mutual TLS."""

import contextlib
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from duet_contract.channels import open_aio_channel
from duet_device.identity.enrollment import enroll
from duet_tools.subjects.authority import PASSPHRASE, authority, invite, variables
from duet_tools.subjects.children import free_port
from duet_tools.subjects.service import Script, ServiceProcess
from duet_tools.subjects.subject import READY_S

# Counted like any limits, and never reached.
_LIMITS = "[limits.default]\nrate = 1000000\nconcurrency = 1000\ntokens = 1000000000000\n"


@dataclass(frozen=True)
class Start:
    """How a service is started."""

    script: Script | None
    """What its engine does; None: vLLM."""
    options: Sequence[str] = ()
    """Options of `duet-cloud serve`."""
    secured: bool = False
    """Whether it has mutual TLS."""


@dataclass(frozen=True)
class Side:
    """A service and how it is reached."""

    service: ServiceProcess
    """Process of the service."""
    credentials: grpc.ChannelCredentials | None = None
    """None: in the clear."""

    def channel(self, address: str = "") -> grpc.aio.Channel:
        """Return a connection of its own, to the service or to a proxy in front of it."""
        return open_aio_channel(address or self.service.address, self.credentials)


@contextmanager
def started(pair: Path, *starts: Start, database: str | None = None) -> Iterator[list[Side]]:
    """Start services at the same time, and yield them when all are ready.

    Args:
        pair: directory of the pair, the same for all.
        starts: what they differ in. This process is enrolled at those that are secured, which
            share one authority.
        database: URL of an empty PostgreSQL database that they share; None: none.

    Raises:
        BenchError: one of them does not start.
    """
    with ExitStack() as stack:
        enrollment, credentials, identities = free_port(), None, list[str]()
        if any(start.secured for start in starts):
            identities, code = stack.enter_context(_invited(database))
        first = [*identities, "--enrollment-port", str(enrollment)]
        services = []
        for start in starts:
            more = first if start.secured else []
            # One of them is enough.
            first = identities if start.secured else first
            process = ServiceProcess(pair, *start.options, *more, script=start.script)
            services.append(stack.enter_context(process))
        if identities:
            services[-1].wait_until(lambda: _listens(enrollment), READY_S)
            credentials = enroll(f"127.0.0.1:{enrollment}", code).identity.credentials()
        sides = []
        for service, start in zip(services, starts, strict=True):
            own = credentials if start.secured else None
            service.wait_until_serving(own)
            sides.append(Side(service, own))
        yield sides


@contextmanager
def _invited(database: str | None) -> Iterator[tuple[list[str], str]]:
    """An authority with limits on whoever asks: a service's options for it, and a code."""
    # Not an option of a command, which other users of the machine see.
    more = {"DUET_DATABASE": database} if database else {}
    with (
        tempfile.TemporaryDirectory() as scratch,
        variables(DUET_HOME=f"{scratch}/home", DUET_PASSPHRASE=PASSPHRASE, **more),
        authority(Path(scratch, "authority")) as directory,
    ):
        (directory / "access.toml").write_text(_LIMITS, "utf-8")
        yield ["--tls-dir", str(directory)], invite("bench")


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
