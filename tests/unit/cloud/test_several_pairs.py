"""Two versions of a pair and another pair in one service, each with an engine of its own."""

import json
import shutil
from dataclasses import dataclass

import grpc
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from duet_cloud import logs
from duet_cloud.errors import UsageError
from duet_cloud.reasoner import PairReasoner
from duet_cloud.server import INFERENCE_NAME, CloudServer
from duet_contract.channels import open_aio_channel
from duet_contract.v1.control_pb2 import (
    SERVING_STATE_LOADING,
    SERVING_STATE_READY,
    DescribePairRequest,
    GetCapacityRequest,
)
from duet_contract.v1.control_pb2_grpc import ControlServiceStub
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from tests.doubles.engine import ScriptedEngine
from tests.doubles.refusals import details, refused
from tests.doubles.unread import until

FIRST, NEWER, OTHER = "toy@1.2.3", "toy@1.10.0", "fable@1.0.0"


@dataclass
class Cloud:
    server: CloudServer
    """The running server."""
    engines: dict[str, ScriptedEngine]
    """Engine of each pair, by its reference."""
    inference: InferenceServiceStub
    """Stub of `InferenceService`."""
    control: ControlServiceStub
    """Stub of `ControlService`."""
    health: health_pb2_grpc.HealthStub
    """Stub of the health service."""


@pytest.fixture(scope="session")
def reasoners(toy_pair, tmp_path_factory):
    loaded = []
    for reference in (FIRST, NEWER, OTHER):
        directory = tmp_path_factory.mktemp("pairs") / reference
        shutil.copytree(toy_pair, directory)
        manifest = directory / "manifest.json"
        pair, version = reference.split("@")
        data = json.loads(manifest.read_text()) | {"id": pair, "version": version}
        manifest.write_text(json.dumps(data))
        loaded.append(PairReasoner.load(directory))
    return loaded


@pytest_asyncio.fixture
async def cloud(reasoners, options):
    logs.configure("json")
    server = CloudServer(options, *reasoners)
    await server.start()
    scripts = ([1, 2], [11, 12, 13], [21])
    engines = {}
    for route, script in zip(server.routes.all, scripts, strict=True):
        engines[route.name] = ScriptedEngine(script)
        await server.open(engines[route.name], route)
    async with open_aio_channel(f"127.0.0.1:{server.port}") as channel:
        stubs = (InferenceServiceStub, ControlServiceStub, health_pb2_grpc.HealthStub)
        yield Cloud(server, engines, *(stub(channel) for stub in stubs))
    await server.stop()


async def ask(cloud, pair, **fields):
    call = cloud.inference.Reason(ReasonRequest(question="why?", pair=pair, **fields))
    return [response async for response in call]


@pytest.mark.parametrize(
    ("named", "served"),
    [
        ("", FIRST),
        (FIRST, FIRST),
        (NEWER, NEWER),
        (OTHER, OTHER),
        ("fable", OTHER),
        ("toy", NEWER),  # 1.10.0 is newer than 1.2.3
    ],
)
async def test_a_question_goes_to_the_engine_of_its_pair(cloud, named, served):
    responses = await ask(cloud, named)
    assert [name for name, engine in cloud.engines.items() if engine.jobs] == [served]
    assert responses[-1].end.signal_tokens == len(cloud.engines[served].script)
    described = await cloud.control.DescribePair(DescribePairRequest(pair=named))
    assert f"{described.id}@{described.version}" == served
    assert list(described.pairs) == [FIRST, NEWER, OTHER]


@pytest.mark.parametrize(
    "named", ["toy@2.0.0", "unknown", "toy@", pytest.param("x" * 100_000, id="long")]
)
async def test_a_pair_that_is_not_served_is_told_before_a_token_is_spent(cloud, named):
    error = await refused(ask(cloud, named))
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
    info = error_details_pb2.ErrorInfo()
    assert details(error).Unpack(info)
    assert info.reason == "PAIR_MISMATCH"
    assert info.metadata["cloud"] == f"{FIRST},{NEWER},{OTHER}"
    assert not any(engine.jobs for engine in cloud.engines.values())
    for call in (cloud.control.DescribePair, cloud.control.GetCapacity):
        request = DescribePairRequest if call is cloud.control.DescribePair else GetCapacityRequest
        with pytest.raises(grpc.aio.AioRpcError):
            await call(request(pair=named))


async def test_a_full_pair_does_not_fill_the_others(cloud):
    cloud.engines[FIRST].pause_s = 60
    calls = [cloud.inference.Reason(ReasonRequest(question="x", pair=FIRST)) for _ in range(3)]
    first = cloud.server.routes.all[0].admission
    await until(lambda: first.waiting == 1)
    error = await refused(ask(cloud, FIRST))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    # Nor is a device with another pair made to wait for its refusal.
    error = await refused(ask(cloud, "toy@9.9.9"))
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert (await ask(cloud, OTHER))[-1].HasField("end")
    one = await cloud.control.GetCapacity(GetCapacityRequest(pair=FIRST))
    whole = await cloud.control.GetCapacity(GetCapacityRequest())
    assert (one.running, one.max_running, one.waiting, one.max_waiting) == (2, 2, 1, 1)
    assert (whole.running, whole.max_running, whole.waiting, whole.max_waiting) == (2, 6, 1, 3)
    for call in calls:
        call.cancel()


async def test_metrics_tell_the_pairs_apart(cloud):
    await ask(cloud, NEWER, budget=2)
    await ask(cloud, OTHER)
    value = cloud.server.metrics.registry.get_sample_value
    assert value("duet_signal_tokens_sum", {"pair": NEWER}) == 2
    assert value("duet_signal_tokens_sum", {"pair": OTHER}) == 1
    assert value("duet_signal_tokens_sum", {"pair": FIRST}) == 0
    assert value("duet_budget_cuts_total", {"pair": NEWER}) == 1
    assert value("duet_requests_total", {"pair": OTHER, "outcome": "ok", "reason": ""}) == 1
    assert value("duet_requests_running", {"pair": FIRST}) == 0


async def test_the_service_is_ready_when_every_pair_is(reasoners, options):
    server = CloudServer(options, *reasoners)
    await server.start()
    async with open_aio_channel(f"127.0.0.1:{server.port}") as channel:
        health, control = health_pb2_grpc.HealthStub(channel), ControlServiceStub(channel)
        inference = InferenceServiceStub(channel)
        request = health_pb2.HealthCheckRequest(service=INFERENCE_NAME)
        for route in server.routes.all:
            assert (await health.Check(request)).status != health_pb2.HealthCheckResponse.SERVING
            capacity = await control.GetCapacity(GetCapacityRequest())
            assert capacity.state == SERVING_STATE_LOADING
            await server.open(ScriptedEngine([1]), route)
            # A pair serves as soon as its own engine is loaded.
            call = inference.Reason(ReasonRequest(question="x", pair=route.name))
            assert [response async for response in call][-1].HasField("end")
        assert (await health.Check(request)).status == health_pb2.HealthCheckResponse.SERVING
        capacity = await control.GetCapacity(GetCapacityRequest())
        assert capacity.state == SERVING_STATE_READY
    await server.stop()


async def test_draining_waits_for_every_pair(cloud):
    cloud.engines[OTHER].pause_s = 0.2
    call = cloud.inference.Reason(ReasonRequest(question="x", pair=OTHER))
    await until(lambda: cloud.engines[OTHER].running)
    assert await cloud.server.drain() is True
    assert [response async for response in call][-1].HasField("end")


def test_the_same_version_twice(reasoners, options):
    with pytest.raises(UsageError, match="named twice"):
        CloudServer(options, reasoners[0], reasoners[0])


async def test_an_engine_that_fails_stops_its_pair_alone(cloud):
    request = health_pb2.HealthCheckRequest(service=INFERENCE_NAME)
    health = cloud.health
    first, newer, _ = cloud.server.routes.all
    for route in (first, newer):
        cloud.engines[route.name].crash()
    await until(lambda: first.failure is not None and newer.failure is not None)
    assert (await health.Check(request)).status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert (await refused(ask(cloud, FIRST))).code() == grpc.StatusCode.UNAVAILABLE
    assert (await ask(cloud, OTHER))[-1].HasField("end")
    # The service is ready once both are loaded again, not before.
    for route in (first, newer):
        assert (await health.Check(request)).status == health_pb2.HealthCheckResponse.NOT_SERVING
        await cloud.server.close_engine(route)
        await cloud.server.open(ScriptedEngine(), route)
    assert (await health.Check(request)).status == health_pb2.HealthCheckResponse.SERVING
    assert (await ask(cloud, FIRST))[-1].HasField("end")
