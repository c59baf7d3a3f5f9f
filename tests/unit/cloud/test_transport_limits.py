"""Connections that never become useful, or stop being so, do not stay."""

import asyncio
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from duet_cloud import server as server_module
from duet_contract.v1.inference_pb2 import ReasonRequest
from tests.doubles.refusals import refused
from tests.doubles.unread import HALF_A_HELLO, closes, until


def changed(**values):
    """The server's arguments, some of them changed; dots are written as double underscores."""
    given = {name.replace("__", "."): value for name, value in values.items()}
    missing = given.keys() - dict(server_module._CHANNEL_OPTIONS).keys()
    assert not missing, f"the service sets no {missing}"
    return tuple({**dict(server_module._CHANNEL_OPTIONS), **given}.items())


@pytest.fixture
def handshake_ms():
    return 700


@pytest.fixture
def options(options, monkeypatch, handshake_ms):
    arguments = changed(
        grpc__server_handshake_timeout_ms=handshake_ms,
        grpc__max_connection_idle_ms=2000,
        grpc__max_allowed_incoming_connections=8,
    )
    monkeypatch.setattr(server_module, "_CHANNEL_OPTIONS", arguments)
    return options


def sockets() -> int:
    found = 0
    for each in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found += str(each.readlink()).startswith("socket:")
    return found


@pytest.mark.parametrize("data", [b"", HALF_A_HELLO[:1]], ids=["nothing", "a byte"])
async def test_a_connection_that_says_nothing_is_closed(cloud, data):
    await closes(cloud.server.port, data)


async def test_an_idle_connection_is_closed_and_the_channel_lasts(cloud):
    assert [one async for one in cloud.inference.Reason(ReasonRequest(question="What?"))]
    busy = sockets()
    # Both ends of it: the channel would use one that only the server has closed.
    await until(lambda: sockets() <= busy - 2)
    assert [one async for one in cloud.inference.Reason(ReasonRequest(question="What?"))]


@pytest.mark.parametrize("handshake_ms", [60_000])
async def test_connections_are_bounded(cloud):
    """Those beyond the limit are closed, and there is room again once others have gone."""
    port = cloud.server.port
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
    reads = [asyncio.create_task(reader.read()) for reader, _ in held]
    # Long before the handshake's time limit would close all of them.
    await until(lambda: sum(read.done() for read in reads) >= 30)
    assert not all(read.done() for read in reads)
    for read in reads:
        read.cancel()
    for _, writer in held:
        writer.close()

    async def served():
        try:
            return [one async for one in cloud.inference.Reason(ReasonRequest(question="What?"))]
        except grpc.aio.AioRpcError:
            return []

    async with asyncio.timeout(60):
        while not await served():  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_metadata_is_bounded(cloud):
    call = cloud.inference.Reason(
        ReasonRequest(question="What?"), metadata=[("x-large", "x" * 64_000)]
    )
    assert (await refused(call)).code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_message_is_as_large_as_a_pair_s_longest_request(cloud):
    """The service holds what has arrived of one, for each of the calls that a device may make."""
    longest = ReasonRequest(question="x" * 1024, signal_prefix={"text": "x" * 640}, budget=40)
    error = await refused(cloud.inference.Reason(longest))
    # Read, and refused for its tokens alone.
    assert error.details() == "question: 1024 tokens, the limit is 64"
    larger = ReasonRequest(question="x" * 150_000)
    error = await refused(cloud.inference.Reason(larger))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in error.details()
