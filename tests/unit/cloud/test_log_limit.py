"""Calls that cost nothing cannot fill the log, whatever they are refused for."""

import json

import grpc
import pytest

from duet_cloud import logs
from duet_cloud.log_limit import MOST_LINES, WINDOW_S, LogLimit
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.v1.pairs_pb2 import FetchFileRequest
from duet_contract.v1.pairs_pb2_grpc import PairServiceStub
from tests.doubles.clock import SteppedClock
from tests.doubles.unread import until


def events(capfd, name):
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    return [event for event in map(json.loads, lines) if event["event"] == name]


def test_lines_of_a_key_and_of_all():
    clock = SteppedClock()
    limit = LogLimit(2, clock)
    assert [limit.admit("a", 1) for _ in range(4)] == [{}, {}, None, None]
    assert limit.admit("b", 1) == {"left_out": 2}
    for number in range(10 * MOST_LINES):
        limit.admit("c", number)
    assert limit._logged.total() == MOST_LINES
    clock.ahead += WINDOW_S
    assert limit.admit("a", 1) == {"left_out": 10 * MOST_LINES - (MOST_LINES - 3)}


KINDS = {
    "full": {"question": "What?"},
    "malformed": {"question": "What?", "budget": 0},
    "no such pair": {"question": "What?", "pair": "other@1.0.0"},
}


@pytest.mark.parametrize("kind", KINDS)
async def test_refused_questions(cloud, capfd, kind):
    cloud.engine.pause_s = 30.0
    calls = [cloud.inference.Reason(ReasonRequest(question="What?")) for _ in range(3)]
    await until(lambda: cloud.server.admission.waiting == 1)
    capfd.readouterr()
    for _ in range(100):
        with pytest.raises(grpc.aio.AioRpcError):
            await cloud.inference.Reason(ReasonRequest(**KINDS[kind])).read()
    assert len(events(capfd, "reasoned")) == 10
    for call in calls:
        call.cancel()


async def test_questions_cancelled_before_they_run(cloud, capfd):
    cloud.engine.pause_s = 30.0
    calls = [cloud.inference.Reason(ReasonRequest(question="What?")) for _ in range(2)]
    await until(lambda: cloud.engine.running == 2)
    capfd.readouterr()
    for _ in range(50):
        call = cloud.inference.Reason(ReasonRequest(question="What?"))
        await until(lambda: cloud.server.admission.waiting == 1)
        call.cancel()
        await until(lambda: cloud.server.admission.waiting == 0)
    assert len(events(capfd, "reasoned")) == 10
    for call in calls:
        call.cancel()


async def test_every_question_that_ran_is_logged(cloud, capfd):
    capfd.readouterr()
    for _ in range(70):
        assert [one async for one in cloud.inference.Reason(ReasonRequest(question="What?"))]
    assert len(events(capfd, "reasoned")) == 70


async def test_refused_downloads(cloud, capfd):
    logs.configure("json")
    stub = PairServiceStub(cloud.channel)
    capfd.readouterr()
    for _ in range(100):
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.FetchFile(FetchFileRequest(path="no such file")).read()
    assert len(events(capfd, "fetched")) == 1
