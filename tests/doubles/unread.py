"""Relays that see what passes, are slow or go silent, and clients whose flow-control window is closed."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

# The smallest window that gRPC's core announces: no message of ours fits into it.
CLOSED_WINDOW = [
    ("grpc.http2.lookahead_bytes", 5),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.use_local_subchannel_pool", 1),
]


@asynccontextmanager
async def tapped(port: int) -> AsyncIterator[tuple[str, bytearray]]:
    """A relay to a local port: its address, and what the server has sent through it."""
    sent = bytearray()
    async with _relay(port, sent, asyncio.Event()) as address:
        yield address, sent


@asynccontextmanager
async def falling_silent(port: int) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A relay to a local port: its address, and an event that, once set, stops all that passes.

    Both connections stay open, as when a device loses its network without a word.
    """
    silent = asyncio.Event()
    async with _relay(port, bytearray(), silent) as address:
        yield address, silent


@asynccontextmanager
async def slow(port: int, bytes_per_s: float) -> AsyncIterator[str]:
    """A relay to a local port: its address. What the server sends passes at that rate."""
    async with _relay(port, bytearray(), asyncio.Event(), bytes_per_s) as address:
        yield address


@asynccontextmanager
async def _relay(
    port: int, sent: bytearray, silent: asyncio.Event, bytes_per_s: float = math.inf
) -> AsyncIterator[str]:
    connections: set[asyncio.StreamWriter] = set()
    over = asyncio.Event()

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: bytearray | None
    ) -> None:
        with suppress(OSError):
            slow = seen is not None and bytes_per_s < math.inf
            while data := await reader.read(8192 if slow else 65536):
                if slow:
                    await asyncio.sleep(len(data) / bytes_per_s)
                if silent.is_set():
                    await over.wait()
                    return
                if seen is not None:
                    seen += data
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        connections.update((to_server, writer))
        await asyncio.gather(pump(reader, to_server, None), pump(from_server, writer, sent))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, relayed = server.sockets[0].getsockname()[:2]
    try:
        yield f"{host}:{relayed}"
    finally:
        over.set()
        server.close()
        for connection in connections:
            connection.close()


async def until(condition: Callable[[], bool], within_s: float = 60.0) -> float:
    """Waits for a condition; seconds that took.

    Raises:
        TimeoutError: it did not come true.
    """
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return asyncio.get_running_loop().time() - began


# The first bytes of a TLS client that says no more.
HALF_A_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(20)


async def closes(port: int, data: bytes) -> None:
    """Waits until a server closes a connection that sends `data` and no more.

    Raises:
        TimeoutError: it did not.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    async with asyncio.timeout(60):
        while await reader.read(4096):
            pass
    writer.close()
