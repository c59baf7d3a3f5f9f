"""A TCP proxy in user space that counts what passes: the bytes below gRPC and below HTTP.

Counts what TCP carries; TCP's and IP's own headers are not in it.
"""

import asyncio
from dataclasses import dataclass
from typing import Self

from duet_tools.loop_thread import LoopThread

_CHUNK = 1 << 16


@dataclass(frozen=True)
class Count:
    """Bytes since the proxy started. `up`: from client to server; `down`: back. And connections."""

    up: int = 0
    down: int = 0
    connections: int = 0

    def __sub__(self, earlier: "Count") -> "Count":
        return Count(
            self.up - earlier.up, self.down - earlier.down, self.connections - earlier.connections
        )


class CountingProxy:
    """Listens on a free loopback port and passes everything on to `host:port`.

    Runs on a thread of its own, so that synchronous and asynchronous clients can use it. Use as a
    context manager.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._count = Count()
        self._thread = LoopThread("counting-proxy")
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        serving = asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self._server = self._thread.wait_for(serving)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.wait_for(self._close())
        self._thread.stop()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    @property
    def count(self) -> Count:
        """What has passed so far."""
        return self._count

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        self._add(connections=1)
        try:
            try:
                far_reader, far_writer = await asyncio.open_connection(*self._target)
            except OSError:
                return
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pass(reader, far_writer, up=True))
                    both.create_task(self._pass(far_reader, writer, up=False))
            finally:
                far_writer.close()
        except asyncio.CancelledError:
            # Only `_close` cancels; asyncio's server would log the cancellation as an error.
            pass
        finally:
            writer.close()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool
    ) -> None:
        try:
            while data := await reader.read(_CHUNK):
                self._add(**{"up" if up else "down": len(data)})
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except OSError:
            # One side reset the connection: the other is to see an end, too.
            writer.close()

    def _add(self, up: int = 0, down: int = 0, connections: int = 0) -> None:
        now = self._count
        self._count = Count(now.up + up, now.down + down, now.connections + connections)

    async def _close(self) -> None:
        if self._server:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
