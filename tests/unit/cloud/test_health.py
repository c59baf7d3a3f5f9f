from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from duet_cloud.errors import ListenError
from duet_cloud.metrics import Metrics
from duet_cloud.options import ServeOptions
from duet_cloud.reasoner import PairReasoner
from duet_cloud.server import CONTROL_NAME, INFERENCE_NAME, CloudServer
from duet_contract.channels import open_aio_channel
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from tests.doubles import loopback
from tests.doubles.refusals import refused

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@asynccontextmanager
async def started(server: CloudServer) -> AsyncIterator[str]:
    """Start a server, and stop it however the test ends; yields its address."""
    try:
        await server.start()
        yield f"127.0.0.1:{server.port}"
    finally:
        await server.stop()


async def test_alive_while_loading_then_ready_then_draining(toy_pair, options, engine):
    server = CloudServer(options, PairReasoner.load(toy_pair))
    async with started(server) as address, open_aio_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)

        async def status(service):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
            return answer.status

        assert (await status(""), await status(INFERENCE_NAME)) == (SERVING, NOT_SERVING)
        call = InferenceServiceStub(channel).Reason(ReasonRequest(question="x"))
        assert (await refused(call)).code() == grpc.StatusCode.UNAVAILABLE
        await server.open(engine)
        assert await status(INFERENCE_NAME) == SERVING
        await server.drain()
        assert await status(INFERENCE_NAME) == NOT_SERVING
        # A probe of its liveness lets it finish what runs.
        assert await status("") == SERVING


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
async def test_only_loopback_without_transport_security(toy_pair, host):
    pair = PairReasoner.load(toy_pair)
    with pytest.raises(ListenError, match="transport security"):
        CloudServer(ServeOptions(host=host, port=0), pair)


async def test_a_port_in_use(toy_pair, options):
    pair = PairReasoner.load(toy_pair)
    first = CloudServer(options, pair)
    async with started(first):
        with pytest.raises(ListenError, match=f":{first.port}.*in use"):
            CloudServer(ServeOptions(port=first.port), pair)


def test_the_metrics_have_a_port_of_their_own():
    metrics = Metrics()
    port = metrics.serve("127.0.0.1", 0)
    with loopback.client() as client:
        assert "duet_requests" in client.get(f"http://127.0.0.1:{port}/metrics").text
    with pytest.raises(ListenError, match=f"metrics on 127.0.0.1:{port}.*in use"):
        Metrics().serve("127.0.0.1", port)
    with pytest.raises(ListenError, match=r"metrics on a\.\.b:0: "):
        Metrics().serve("a..b", 0)


@pytest.mark.parametrize("offered", [False, True])
async def test_reflection_only_on_request(toy_pair, offered):
    server = CloudServer(ServeOptions(port=0, reflection=offered), PairReasoner.load(toy_pair))
    async with started(server) as address, open_aio_channel(address) as channel:
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        )
        if offered:
            answer = await call.read()
            names = {service.name for service in answer.list_services_response.service}
            assert {INFERENCE_NAME, CONTROL_NAME} <= names
        else:
            assert await call.code() == grpc.StatusCode.UNIMPLEMENTED
