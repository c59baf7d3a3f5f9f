"""A peer that falls silent is noticed within seconds; one that is merely quiet is not cut off."""

import asyncio
import dataclasses
import socket
import sys

import grpc
import psutil
import pytest

from duet_cloud import server as server_module
from duet_cloud.distribution import CHUNK_BYTES
from duet_contract import channels
from duet_contract.channels import SERVER_KEEPALIVE, open_aio_channel
from duet_contract.integrity import describe_file
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from duet_contract.v1.pairs_pb2 import FetchFileRequest
from duet_contract.v1.pairs_pb2_grpc import PairServiceStub
from tests.doubles.refusals import refused
from tests.doubles.unread import falling_silent, slow, until

NEVER = [("grpc.keepalive_time_ms", 2**31 - 1)]


def hurried(options, factor=10):
    """The project's arguments, their times shorter."""
    return tuple(
        (name, value // factor if name.endswith("_ms") else value) for name, value in options
    )


@pytest.fixture
def engine(engine):
    engine.pause_s = 600.0
    return engine


@pytest.fixture
def options(options, monkeypatch):
    arguments = hurried(server_module._CHANNEL_OPTIONS)
    monkeypatch.setattr(server_module, "_CHANNEL_OPTIONS", arguments)
    return options


def question(channel):
    return InferenceServiceStub(channel).Reason(ReasonRequest(question="What?"))


async def test_a_device_that_falls_silent_frees_its_slot(cloud):
    async with (
        falling_silent(cloud.server.port) as (address, silent),
        open_aio_channel(address, options=NEVER) as channel,
    ):
        call = question(channel)
        await until(lambda: cloud.engine.running == 1)
        await asyncio.sleep(0.1)
        silent.set()
        # The engine alone would keep it busy for longer than `until` waits.
        assert await until(lambda: cloud.engine.running == 0) > 0.4
        assert cloud.server.admission.running == 0
        assert cloud.engine.aborted == 1
        call.cancel()


async def test_a_cloud_that_falls_silent_ends_the_call(cloud):
    async with (
        falling_silent(cloud.server.port) as (address, silent),
        open_aio_channel(address, options=hurried(channels._COMMON)) as channel,
    ):
        call = question(channel)
        await until(lambda: cloud.engine.running == 1)
        silent.set()
        error = await asyncio.wait_for(refused(call), 60)
        assert error.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_quiet_call_lasts(cloud):
    """As long as both sides answer pings, whichever sends them: several intervals."""
    cloud.engine.pauses = {0: 3.0}
    cloud.engine.pause_s = 0.0
    address = f"127.0.0.1:{cloud.server.port}"
    async with open_aio_channel(address, options=hurried(channels._COMMON)) as channel:
        responses = [one async for one in question(channel)]
    assert responses[-1].end.signal_tokens == 10


async def test_a_slow_download_lasts(cloud, toy_pair, tmp_path):
    """A ping's answer waits behind a window of the file, longer than the interval of pings."""
    route = cloud.server.routes.default
    pair, content = tmp_path / "pair", bytes(4 * CHUNK_BYTES)
    (pair / "decoder").mkdir(parents=True)
    (pair / "decoder" / "weights").write_bytes(content)
    entry = describe_file(pair, pair / "decoder" / "weights")
    manifest = route.pair.manifest
    decoder = manifest.decoder.model_copy(update={"files": (entry,)})
    route.pair = dataclasses.replace(
        route.pair, root=pair, manifest=manifest.model_copy(update={"decoder": decoder})
    )
    request = FetchFileRequest(path=entry.path, sha256=bytes.fromhex(entry.sha256))
    async with (
        slow(cloud.server.port, CHUNK_BYTES / 0.35) as address,
        open_aio_channel(address, options=hurried(channels._COMMON)) as channel,
    ):
        responses = [one.data async for one in PairServiceStub(channel).FetchFile(request)]
    assert b"".join(responses) == content


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_USER_TIMEOUT is Linux's")
async def test_a_link_that_acknowledges_nothing_ends_sooner(cloud):
    """No test cuts a link: the kernel does that, for sockets with this option."""
    call = question(cloud.channel)
    await until(lambda: cloud.engine.running == 1)
    expected = dict(hurried(SERVER_KEEPALIVE))["grpc.keepalive_timeout_ms"]
    assert list(user_timeouts(cloud.server.port)) == [expected]
    call.cancel()


def user_timeouts(port):
    """Yields the option of each connection that this process has accepted on a port."""
    for each in psutil.Process().net_connections("tcp"):
        if each.laddr.port == port and each.raddr:
            with socket.fromfd(each.fd, each.family, each.type) as one:
                yield one.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)


def test_who_pings_is_never_too_soon():
    """The least interval of a server is below the clients', a fifth of it, for what jitter does."""
    client, server = dict(channels._COMMON), dict(SERVER_KEEPALIVE)
    noticed = [
        each["grpc.keepalive_time_ms"] + each["grpc.http2.ping_timeout_ms"]
        for each in (client, server)
    ]
    assert noticed == [10_000, 25_000]
    assert server["grpc.keepalive_timeout_ms"] == 8_000
    least = server["grpc.http2.min_ping_interval_without_data_ms"]
    assert 5 * least <= client["grpc.keepalive_time_ms"]
