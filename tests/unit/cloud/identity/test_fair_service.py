"""Without an access file, a device with many connections gets one share of the service."""

import asyncio
import dataclasses
from collections import Counter
from contextlib import suppress

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from duet_cloud.identity import authorizer
from tests.doubles import identities
from tests.doubles.unread import until

SLOTS = 4


@pytest.fixture
def secure_options(secure_options):
    return dataclasses.replace(secure_options, max_running=SLOTS, max_waiting=64)


async def test_one_device_with_61_connections_and_three_with_two(secure):
    secure.engine.pause_s = 0.03
    served: Counter[str] = Counter()
    connections = [
        (name, secure.connect(pair))
        for name, count in {"many": 61, "one": 2, "two": 2, "three": 2}.items()
        for pair in [identities.device(secure.authority, name)]
        for _ in range(count)
    ]

    async def keep_asking(name, client):
        while True:
            with suppress(grpc.aio.AioRpcError):
                tokens = await client.ask()
                served[name] += tokens

    tasks = [asyncio.create_task(keep_asking(*each)) for each in connections]
    while len(served) < 4:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    served.clear()
    # So many that one more or less says nothing, however long a busy machine takes for them.
    await until(lambda: served.total() > 300)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    shares = {name: round(tokens / served.total(), 3) for name, tokens in served.items()}
    assert shares["many"] < 0.4, shares
    assert min(shares.values()) > 0.15


async def test_the_calls_of_one_device_are_bounded_and_others_go_on(secure, refused, monkeypatch):
    """Calls of any kind, such as health watches, which end when their client wants."""
    monkeypatch.setattr(authorizer, "MOST_CALLS", 3)
    one, other = (
        secure.connect(identities.device(secure.authority, name)) for name in ("one", "other")
    )
    watch = health_pb2_grpc.HealthStub(one.channel).Watch
    calls = [watch(health_pb2.HealthCheckRequest()) for _ in range(3)]
    for call in calls:
        await call.read()
    error = await refused(watch(health_pb2.HealthCheckRequest()))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "limit of one: 3 calls at a time" in error.details()
    assert await other.ask() == 10
    calls[0].cancel()
    await until(lambda: secure.server.security.authorizer._calls["one"] == 2)
    assert await one.ask() == 10
