"""Revoked callers that read nothing: their calls end on the wire within a second or so."""

import asyncio
import time

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry, Counter

from duet_cloud.identity.access import AccessFile
from duet_cloud.identity.authorizer import CallAuthorizer
from duet_cloud.identity.callers import Caller
from duet_cloud.identity.counts import Counts
from duet_cloud.identity.database import Database
from duet_cloud.identity.quotas import Quotas
from duet_cloud.identity.refusals import Refusals
from duet_cloud.identity.roles import Role
from duet_cloud.interceptor import CallInterceptor
from duet_cloud.options import ServeOptions
from duet_cloud.status import unauthenticated
from duet_contract.channels import open_aio_channel
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from tests.doubles import identities
from tests.doubles.refusals import refused
from tests.doubles.unread import CLOSED_WINDOW, tapped, until

# The default of a service.
WRITE_S = ServeOptions.write_s


async def test_a_signal(secure):
    pair = identities.device(secure.authority)
    async with open_aio_channel(
        f"127.0.0.1:{secure.port}", pair.credentials(secure.roots), CLOSED_WINDOW
    ) as channel:
        call = InferenceServiceStub(channel).Reason(ReasonRequest(question="What?"))
        # Complete, and blocked in sending.
        await until(lambda: secure.engine.emitted == 10)
        await asyncio.sleep(0.1)
        assert secure.server.admission._in_flight
        secure.authority.registry.revoke("laptop", int(time.time()))
        # Before a blocked write is aborted.
        assert await until(lambda: not secure.server.admission._in_flight) < WRITE_S
        error = await refused(call)
    assert error.code() == grpc.StatusCode.UNAUTHENTICATED
    assert "revoked" in error.details()


class Revocable:
    """The one caller of a plain connection, whose bytes can be read."""

    caller = Caller("reader", frozenset(Role), "1", 0.0)
    revoked = False

    async def identify(self, auth):
        return self.caller

    async def current(self, callers):
        refusal = unauthenticated("revoked", "REVOKED", self.caller.name)
        return {caller: refusal if self.revoked else caller for caller in callers}


@pytest.mark.parametrize("reads", [False, True])
async def test_the_status_is_on_the_wire(tmp_path, reads):
    """Of a handler that writes to its context itself, too."""
    callers = Revocable()
    quotas = Quotas(Counts(Database.sqlite(tmp_path / "counts.db")), AccessFile(None))
    refused_calls = Counter("refused", "", ["reason"], registry=CollectorRegistry())
    authorizer = CallAuthorizer(callers, quotas, Refusals(refused_calls))
    server = grpc.aio.server(interceptors=[CallInterceptor(WRITE_S, authorizer)])
    watched = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(watched, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    watching = asyncio.create_task(authorizer.watch())
    async with (
        tapped(port) as (address, sent),
        open_aio_channel(address, options=() if reads else CLOSED_WINDOW) as channel,
    ):
        call = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        if reads:
            await call.read()
        await until(lambda: len(authorizer._running) == 1)
        await asyncio.sleep(0.1)
        assert b"grpc-status" not in sent
        callers.revoked = True
        # Before a blocked write is aborted.
        assert await until(lambda: b"grpc-status" in sent) < WRITE_S
        assert not authorizer._running
        error = await refused(call.read())
        assert error.code() == grpc.StatusCode.UNAUTHENTICATED
        assert error.details() == "revoked"
    watching.cancel()
    await server.stop(None)
    await quotas.close()
