"""One connection through the link: a client's socket, the target's, and a pipe each way between."""

import asyncio
import contextlib
import random
import socket
from collections.abc import Callable

from duet_tools.link.direction import Mark, Pipe, SharedDirection
from duet_tools.link.relay import reset_when_closed


class Connection:
    """Passes a client's bytes to the target and back.

    A TCP handshake takes a round trip, which a proxy cannot take from the client's `connect`: the
    kernel has answered it already. So nothing that the client sends leaves before that round trip
    is over, and the target is reached only then.

    Args:
        target: host and port.
        seed: what every draw of this connection follows from.
        gone: called when the connection is over.
    """

    def __init__(
        self,
        target: tuple[str, int],
        up: SharedDirection,
        down: SharedDirection,
        seed: str,
        gone: Callable[["Connection"], None],
    ) -> None:
        self._target = target
        self._loop = up.loop
        self._gone = gone
        self.over = False
        self.client = _Side(self)
        self.server = _Side(self)
        up_s, down_s = up.settings.delay_ms / 1000, down.settings.delay_ms / 1000
        stands_at = self._loop.time() + max(0.0, up_s + down_s - up.own_s)
        self.client.pipe = Pipe(
            up, self.client, self.server, random.Random(f"{seed}/up"), stands_at
        )
        self.server.pipe = Pipe(
            down, self.server, self.client, random.Random(f"{seed}/down"), stands_at + up_s
        )
        self._reaching: asyncio.Task[None] | None = None
        self._starting = self._loop.call_at(stands_at, self._start)

    def end(self, *, reset: bool) -> None:
        """End both sides; without `reset`, what was delivered is still sent."""
        if self.over:
            return
        self.over = True
        self._starting.cancel()
        if self._reaching:
            self._reaching.cancel()
        for side in (self.client, self.server):
            side.end(reset=reset)
        self._gone(self)

    def side_ended(self) -> None:
        """Note that a side has sent everything; the connection ends when both have."""
        if self.client.finished and self.server.finished:
            self.end(reset=False)

    def _start(self) -> None:
        self._reaching = self._loop.create_task(self._reach())

    async def _reach(self) -> None:
        try:
            await self._loop.create_connection(lambda: self.server, *self._target)
        except OSError:
            # The client sees the same as with a closed port.
            self._reaching = None
            self.end(reset=True)


class _Side(asyncio.Protocol):
    """One of a connection's two sockets: source of one pipe, sink of the other."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes | Mark] = []
        self.pipe: Pipe | None = None
        self.finished = False

    # Calls from asyncio.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        assert isinstance(transport, asyncio.Transport)
        if self._connection.over:
            transport.abort()
            return
        self._transport = transport
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        early, self._early = self._early, []
        for item in early:
            if isinstance(item, Mark):
                self.finish(item)
            else:
                self.deliver(item)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self.pipe:
            self.pipe.send(data)

    def eof_received(self) -> bool:
        """See `asyncio.Protocol`; true: the other direction stays open."""
        if self.pipe:
            self.pipe.end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._transport = None
        if self.pipe:
            # A peer reset it: the other side sees the reset after the bytes that are in flight.
            self.pipe.end(Mark.RESET)

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._block(True)

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._block(False)

    # Calls from pipes.

    def pause(self) -> None:
        """See `Source`."""
        if self._transport and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """See `Source`."""
        if self._transport and not self._transport.is_closing():
            self._transport.resume_reading()

    def deliver(self, data: bytes) -> None:
        """See `Sink`."""
        if self._transport:
            self._transport.write(data)
        elif not self.finished:
            self._early.append(data)

    def finish(self, mark: Mark) -> None:
        """See `Sink`."""
        if mark is not Mark.END:
            self._connection.end(reset=mark is Mark.RESET)
        elif self._transport is None:
            self._early.append(mark)
        else:
            self.finished = True
            with contextlib.suppress(OSError):
                self._transport.write_eof()
            self._connection.side_ended()

    # Calls from the connection.

    def end(self, *, reset: bool) -> None:
        """Close the socket and drop the bytes that this side has not sent."""
        if self.pipe:
            self.pipe.close()
            self.pipe = None
        transport, self._transport = self._transport, None
        self._early.clear()
        if transport is None:
            return
        if reset:
            reset_when_closed(transport.get_extra_info("socket"))
            transport.abort()
        else:
            transport.close()

    def _block(self, blocked: bool) -> None:
        """Let the pipe that delivers to this side continue, or hold it."""
        connection = self._connection
        other = connection.server if self is connection.client else connection.client
        if other.pipe:
            other.pipe.block(blocked)
