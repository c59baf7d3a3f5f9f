"""A TCP proxy in user space that counts what passes: the bytes below gRPC and below HTTP.

Counts what TCP carries; TCP's and IP's own headers are not in it.
"""

import asyncio
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Self, TypeVar

_CHUNK = 1 << 16
_Result = TypeVar("_Result")


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
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="counting-proxy", daemon=True
        )
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._accepted, "127.0.0.1", 0))
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

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

    def _call(self, coroutine: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
