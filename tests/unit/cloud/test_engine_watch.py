"""An engine that hangs or crashes is noticed, its requests end, and slow ones are let be."""

import asyncio
import dataclasses

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from duet_cloud import engine_watch
from duet_cloud.engine_watch import EngineWatch
from duet_cloud.errors import EngineError
from duet_cloud.server import INFERENCE_NAME
from duet_contract.v1.control_pb2 import SERVING_STATE_FAILED, GetCapacityRequest
from duet_contract.v1.inference_pb2 import ReasonRequest
from tests.doubles.engine import ScriptedEngine
from tests.doubles.refusals import details, refused
from tests.doubles.unread import until

TIMEOUT_S = 0.2
QUESTION = ReasonRequest(question="What?")


@pytest.fixture
def options(options, monkeypatch):
    monkeypatch.setattr(engine_watch, "_PAUSE_S", 0.05)
    return dataclasses.replace(options, engine_timeout_s=TIMEOUT_S)


async def health(cloud):
    request = health_pb2.HealthCheckRequest(service=INFERENCE_NAME)
    answer = await health_pb2_grpc.HealthStub(cloud.channel).Check(request)
    return answer.status


@pytest.mark.parametrize(
    ("fail", "reason"),
    [
        (lambda engine: engine.hang(), "the engine hangs: no answer within 0.2 s"),
        (
            lambda engine: engine.hang(answers=True),
            "the engine hangs: requests are running, and no",
        ),
        (lambda engine: engine.crash(), "the engine died"),
    ],
)
async def test_a_failed_engine_is_not_serving_and_its_requests_end(cloud, fail, reason):
    cloud.engine.pauses = {1: 30.0}
    # Two run, which have had a token; one waits.
    calls = [asyncio.create_task(refused(cloud.inference.Reason(QUESTION))) for _ in range(3)]
    await until(lambda: cloud.server.admission.waiting == 1 and cloud.engine.emitted == 2)
    assert await health(cloud) == health_pb2.HealthCheckResponse.SERVING
    fail(cloud.engine)
    for error in await asyncio.gather(*calls):
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        assert reason in error.details()
        detail = error_details_pb2.RetryInfo()
        assert details(error).Unpack(detail)
        assert 0 < detail.retry_delay.ToMilliseconds() <= 2000
    assert cloud.server.engine_failed.is_set()
    assert (cloud.engine.running, cloud.server.admission.running) == (0, 0)
    assert await health(cloud) == health_pb2.HealthCheckResponse.NOT_SERVING
    capacity = await cloud.control.GetCapacity(GetCapacityRequest())
    assert capacity.state == SERVING_STATE_FAILED
    error = await refused(_all(cloud.inference.Reason(QUESTION)))
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert "engine has failed" in error.details()


async def test_requests_that_keep_coming_do_not_hide_a_stall(cloud):
    """They are refused, as all slots are held by requests that get no token."""
    cloud.engine.hang(answers=True)
    calls = [asyncio.create_task(refused(cloud.inference.Reason(QUESTION))) for _ in range(3)]

    async def keep_asking():
        while True:
            await refused(cloud.inference.Reason(QUESTION))
            await asyncio.sleep(0.02)

    asking = asyncio.create_task(keep_asking())
    await asyncio.wait_for(cloud.server.engine_failed.wait(), 60)
    asking.cancel()
    # The other requests may have taken the place of one of these.
    ended = ["no token came" in error.details() for error in await asyncio.gather(*calls)]
    assert ended.count(True) >= 2


async def test_an_engine_loaded_again_serves(cloud):
    route = cloud.server.routes.default
    calls = [cloud.inference.Reason(QUESTION) for _ in range(2)]
    cloud.engine.hang()
    await asyncio.gather(*(refused(_all(call)) for call in calls))
    await cloud.server.close_engine(route)
    assert cloud.engine.shut_down
    error = await refused(_all(cloud.inference.Reason(QUESTION)))
    assert "loading" in error.details()
    await cloud.server.open(ScriptedEngine(), route)
    assert await health(cloud) == health_pb2.HealthCheckResponse.SERVING
    assert (await _all(cloud.inference.Reason(QUESTION)))[-1].end.signal_tokens == 10
    assert route.failure is None


async def test_a_long_step_with_tokens_before_and_after_is_no_failure(cloud):
    """The core answers no call during a step; tokens show that it works."""
    cloud.engine.pause_s = TIMEOUT_S / 4
    cloud.engine.check = lambda: asyncio.sleep(60)
    responses = await _all(cloud.inference.Reason(ReasonRequest(question="What?", budget=30)))
    assert responses[-1].end.signal_tokens == 30


async def test_one_strike_is_no_failure():
    answers = iter([60.0, 0.0, 60.0, 0.0])

    class Slow(ScriptedEngine):
        async def check(self):
            if (answer := next(answers, None)) is None:
                raise EngineError("past the four answers, none of which failed it")
            await asyncio.sleep(answer)

    with pytest.raises(EngineError, match="past the four answers"):
        await asyncio.wait_for(EngineWatch(Slow(), 0.05).run(), 60)


async def test_idle_is_not_stalled(cloud):
    """Nothing runs, and no token comes: for longer than a running request may wait for one."""
    await asyncio.sleep(engine_watch._STALL_TIMEOUTS * TIMEOUT_S + 0.5)
    assert await health(cloud) == health_pb2.HealthCheckResponse.SERVING


async def test_a_cancelled_request_is_not_mistaken_for_a_failure():
    watch = EngineWatch(ScriptedEngine(), 60.0)

    async def ask():
        async with watch.request():
            await asyncio.sleep(60)

    task = asyncio.create_task(ask())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_error_of_a_dead_engine_is_raised():
    engine = ScriptedEngine()
    engine.crash()
    with pytest.raises(EngineError, match="died"):
        await EngineWatch(engine).run()


async def _all(call):
    return [response async for response in call]
