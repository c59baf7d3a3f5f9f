"""A TCP proxy in user space that behaves like a link.

It shapes delay, rate, slicing, stalls and endings. What TCP itself makes of a link it does not: a
lost packet, slow start, a congested queue (`kernel_link.py` does that where the kernel can).
"""

import asyncio
from contextlib import ExitStack
from typing import Self

from anyio.from_thread import BlockingPortal

from duet_contract.addresses import Address
from duet_contract.errors import AddressError
from duet_tools.errors import BenchError
from duet_tools.link.calibration import own_cost_s
from duet_tools.link.connection import Connection
from duet_tools.link.direction import SharedDirection
from duet_tools.link.fine_selector import fine_event_loop, on_a_thread
from duet_tools.link.profiles import BadLink, LinkProfile
from duet_tools.link.relay import Count
from duet_tools.link.timeline import LinkChange, Timeline

_BACKLOG = 1024


class ListenFailed(BenchError):
    """The emulator cannot listen on the given address. Exit code 3."""

    exit_code = 3


class LinkEmulator:
    """Listens and passes every connection to the target through one emulated link.

    Runs on a thread of its own, so that synchronous and asynchronous clients can use it. Use as a
    context manager. All connections share the link. The same seed gives the n-th connection's n-th
    segment the same delay.

    Args:
        target: where connections are passed to, HOST:PORT.
        link: what the link is like.
        seed: what jitter follows from.
        timeline: when it becomes like what; its time starts with the context.
        listen: where it listens, HOST:PORT; port 0 is any that is free.

    Raises:
        BadLink: an address is malformed.
        ListenFailed: it cannot listen there.
    """

    def __init__(
        self,
        target: str,
        link: LinkProfile,
        *,
        seed: int = 0,
        timeline: Timeline | None = None,
        listen: str = "127.0.0.1:0",
    ) -> None:
        self._target = parse_address(target)
        self._listen = parse_address(listen)
        self._seed = seed
        self._timeline = timeline or Timeline()
        self._loop = fine_event_loop()
        self._thread = ExitStack()
        self._portal: BlockingPortal | None = None
        self._up = SharedDirection(link.up, self._loop)
        self._down = SharedDirection(link.down, self._loop)
        self._connections: set[Connection] = set()
        self._accepted = 0
        self._server: asyncio.Server | None = None
        self.link = link
        self.address = ""

    def __enter__(self) -> Self:
        self._up.own_s = self._down.own_s = own_cost_s()
        self._portal = self._thread.enter_context(on_a_thread(self._loop))
        try:
            self._server = self._portal.call(
                lambda: self._loop.create_server(self._accept, *self._listen, backlog=_BACKLOG)
            )
        except OSError as error:
            self._thread.close()
            host, port = self._listen
            raise ListenFailed(f"cannot listen on {host}:{port}: {error.strerror}") from error
        host, port = self._server.sockets[0].getsockname()[:2]
        self.address = str(Address(host, port))
        self._portal.call(self._schedule)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._portal
        self._portal.call(self._close)
        self._thread.close()

    @property
    def count(self) -> Count:
        """What was delivered so far."""
        return Count(self._up.delivered, self._down.delivered, self._accepted)

    def _accept(self) -> asyncio.Protocol:
        self._accepted += 1
        connection = Connection(
            self._target,
            self._up,
            self._down,
            f"{self._seed}/{self._accepted}",
            self._connections.discard,
        )
        self._connections.add(connection)
        return connection.client

    def _schedule(self) -> None:
        now = self._loop.time()
        for step in self._timeline.steps:
            self._loop.call_at(now + step.t, self._apply, step)

    def _apply(self, step: LinkChange) -> None:
        self.link = step.applied(self.link)
        self._up.change(self.link.up)
        self._down.change(self.link.down)
        if step.end:
            self._end_all(reset=step.end == "reset")

    def _end_all(self, *, reset: bool) -> None:
        for connection in tuple(self._connections):
            connection.end(reset=reset)

    def _close(self) -> None:
        if self._server:
            self._server.close()
        self._end_all(reset=False)


def parse_address(address: str) -> tuple[str, int]:
    """Return host and port of "HOST:PORT" or "[IPV6]:PORT".

    Raises:
        BadLink: it has neither form.
    """
    try:
        parsed = Address.parse(address, free_port=True)
    except AddressError as error:
        raise BadLink(str(error)) from error
    return parsed.host, parsed.port
