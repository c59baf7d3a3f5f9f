"""Clients that read nothing: their calls end on the wire, and what they held is free."""

import asyncio
import dataclasses
import shutil

import grpc
import pytest

from duet_cloud import admission, distribution
from duet_contract.channels import open_aio_channel
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from duet_contract.v1.pairs_pb2 import FetchFileRequest
from duet_contract.v1.pairs_pb2_grpc import PairServiceStub
from tests.doubles.refusals import refused
from tests.doubles.unread import CLOSED_WINDOW, tapped, until


@pytest.fixture
def options(options):
    return dataclasses.replace(options, write_s=2.0, max_running=1, max_waiting=0)


async def test_a_signal_that_is_not_read_holds_no_slot_and_ends(cloud):
    places = cloud.server.admission
    async with (
        tapped(cloud.server.port) as (address, sent),
        open_aio_channel(address, options=CLOSED_WINDOW) as channel,
    ):
        call = InferenceServiceStub(channel).Reason(ReasonRequest(question="What?"))
        await until(lambda: cloud.engine.emitted == 10 and places.running == 0)
        # Its one slot serves others while the signal is unread.
        for _ in range(3):
            request = ReasonRequest(question="What?")
            assert [one async for one in cloud.inference.Reason(request)][-1].HasField("end")
        assert b"grpc-status" not in sent
        await until(lambda: b"grpc-status" in sent)
        error = await refused(call)
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert "read nothing for 2 s" in error.details()
    value = cloud.server.metrics.registry.get_sample_value
    labels = {"pair": "toy@1.2.3", "outcome": "unavailable", "reason": "unread"}
    assert value("duet_requests_total", labels) == 1


async def test_a_long_signal_that_is_not_read_stops_being_generated(cloud):
    cloud.engine.pause_s = 0.1
    address = f"127.0.0.1:{cloud.server.port}"
    async with open_aio_channel(address, options=CLOSED_WINDOW) as channel:
        call = InferenceServiceStub(channel).Reason(ReasonRequest(question="What?", budget=40))
        await until(lambda: cloud.engine.running == 1)
        await until(lambda: cloud.engine.running == 0)
        assert cloud.engine.aborted == 1
        assert (await refused(call)).code() == grpc.StatusCode.UNAVAILABLE


async def test_a_device_that_reads_nothing_is_refused_more(cloud, monkeypatch):
    monkeypatch.setattr(admission, "_MOST_UNREAD", 4)
    address = f"127.0.0.1:{cloud.server.port}"
    async with open_aio_channel(address, options=CLOSED_WINDOW) as channel:
        stub = InferenceServiceStub(channel)
        unread = []
        for number in range(4):
            unread.append(stub.Reason(ReasonRequest(question="What?")))
            await until(lambda done=10 * number + 10: cloud.engine.emitted == done)
            await until(lambda: cloud.server.admission.running == 0)
        error = await refused(cloud.inference.Reason(ReasonRequest(question="What?")))
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "4 signals are complete and not read" in error.details()
        for call in unread:
            call.cancel()


async def test_a_slow_reader_is_waited_for(cloud):
    async with open_aio_channel(f"127.0.0.1:{cloud.server.port}", options=CLOSED_WINDOW) as slow:
        call = InferenceServiceStub(slow).Reason(ReasonRequest(question="What?", budget=40))
        responses = 0
        async for _ in call:
            responses += 1
            await asyncio.sleep(0.1)
    assert responses > 3
    assert await call.code() == grpc.StatusCode.OK


async def test_unread_files_do_not_stop_others(cloud, toy_pair, tmp_path, monkeypatch):
    monkeypatch.setattr(distribution, "MOST_FETCHES", 2)
    pair = tmp_path / "pair"
    shutil.copytree(toy_pair, pair)
    (pair / "decoder").mkdir()
    entry = cloud.server.routes.default.pair.manifest.decoder.files[0]
    (pair / entry.path).write_bytes(bytes(entry.bytes))
    route = cloud.server.routes.default
    route.pair = dataclasses.replace(route.pair, root=pair)
    request = FetchFileRequest(path=entry.path, sha256=bytes.fromhex(entry.sha256))
    async with open_aio_channel(f"127.0.0.1:{cloud.server.port}", options=CLOSED_WINDOW) as channel:
        stub = PairServiceStub(channel)
        unread = [stub.FetchFile(request) for _ in range(2)]
        # Before others ask, who could take one of the two slots.
        await until(lambda: cloud.server.pairs._fetching.total() == 2)
        others = PairServiceStub(cloud.channel)

        async def full() -> bool:
            try:
                return not [one async for one in others.FetchFile(request)]
            except grpc.aio.AioRpcError as error:
                return error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED

        assert await full()
        async with asyncio.timeout(60):
            while await full():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        for call in unread:
            error = await refused(call)
            assert error.code() == grpc.StatusCode.UNAVAILABLE
