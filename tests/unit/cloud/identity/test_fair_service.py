"""Without an access file, a device with many connections gets one share of the service."""

import asyncio
import dataclasses
from collections import Counter
from contextlib import suppress

import grpc
import pytest

from tests.doubles import identities

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
    await asyncio.sleep(4.0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    shares = {name: round(tokens / served.total(), 3) for name, tokens in served.items()}
    assert shares["many"] < 0.4, shares
    assert min(shares.values()) > 0.15
