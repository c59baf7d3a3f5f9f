"""The capacity check's client against the service's admission: its refusals are real ones."""

import asyncio
import dataclasses
from types import SimpleNamespace

import pytest

from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_tools.fleet.measured import RetryingClient

BUDGET = 12


@pytest.fixture
def options(options):
    return dataclasses.replace(options, max_running=2, max_waiting=2)


async def test_an_overload_is_refused_and_asked_once_more(cloud):
    cloud.engine.pause_s = 0.01
    # What the service tells devices to wait.
    cloud.server.admission._holding_s = 0.3
    workload = SimpleNamespace(
        request=lambda text, budget: ReasonRequest(question=text[:9], budget=budget)
    )
    client = RetryingClient(workload, [cloud.inference])
    asked = await asyncio.gather(*(client.ask(BUDGET) for _ in range(12)))
    answered = [each for each in asked if each.total_s is not None]
    assert {each.tokens for each in answered} == {BUDGET}
    refusals = [each.refusals for each in asked]
    assert refusals.count(0) == 4
    # Answered at the second try, after the delay, or refused twice.
    again = [each for each in answered if each.refusals == 1]
    assert again
    assert all(each.total_s > 0.3 for each in again)
    assert refusals.count(2) == 12 - len(answered)
