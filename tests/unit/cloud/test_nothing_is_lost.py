"""What may go wrong around a request costs neither its status, nor a slot, nor a sound engine."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from duet_cloud import engine_watch, interceptor
from duet_cloud.engine import Job
from duet_cloud.engine_watch import EngineWatch
from duet_cloud.errors import EngineError
from duet_cloud.identity.quotas import Charge
from duet_cloud.options import ServeOptions
from duet_contract.v1.inference_pb2 import ReasonRequest
from tests.doubles.engine import ScriptedEngine
from tests.doubles.refusals import refused
from tests.doubles.unread import until

TIMEOUT_S = 0.1
QUESTION = ReasonRequest(question="What?")


@pytest.fixture
def options(options: ServeOptions, monkeypatch: pytest.MonkeyPatch) -> ServeOptions:
    monkeypatch.setattr(engine_watch, "_PAUSE_S", 0.05)
    return dataclasses.replace(options, max_running=1, engine_timeout_s=TIMEOUT_S)


@pytest.mark.parametrize(
    "method",
    ["InferenceService/Reason", "ControlService/GetCapacity", "PairService/FetchFile"],
)
async def test_a_call_without_a_request_ends(
    cloud: Any, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC itself would leave such calls open for as long as their connection lasts."""

    async def nothing() -> AsyncIterator[bytes]:
        return
        yield

    async def later() -> AsyncIterator[bytes]:
        await asyncio.sleep(60)
        yield b""

    call = cloud.channel.stream_stream(f"/duet.v1.{method}")
    error = await refused(call(nothing(), timeout=60))
    assert (error.code(), error.details()) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "request: the call has none",
    )
    monkeypatch.setattr(interceptor, "_REQUEST_S", 0.1)
    error = await refused(call(later(), timeout=60))
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert "has sent no request for 0.1 s" in str(error.details())


async def test_a_request_that_the_engine_cancels_ends_with_a_status(cloud: Any) -> None:
    """As futures of vLLM's sockets do when these close: without one, the device would wait on."""

    async def generate(_: Job) -> AsyncIterator[None]:
        raise asyncio.CancelledError
        yield

    scripted = cloud.engine.generate
    cloud.engine.generate = generate
    error = await refused(cloud.inference.Reason(QUESTION, timeout=60))
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert "the engine aborted the request" in str(error.details())
    cloud.engine.generate = scripted
    assert [response async for response in cloud.inference.Reason(QUESTION, timeout=60)]


async def test_a_slow_database_is_no_failure_of_the_engine(
    cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def charge(_: Job) -> AsyncIterator[Charge]:
        await asyncio.sleep(TIMEOUT_S * 15)
        yield Charge()

    monkeypatch.setattr(cloud.server.inference, "_charge", charge)
    # One after the other, so that a slot is held all the time.
    calls = [cloud.inference.Reason(QUESTION, timeout=60) for _ in range(2)]
    for call in calls:
        assert [response async for response in call]
    assert not cloud.server.engine_failed.is_set()


async def test_a_slot_does_not_wait_for_a_refund(
    cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, refunding = asyncio.Event(), 0

    @asynccontextmanager
    async def charge(_: Job) -> AsyncIterator[Charge]:
        nonlocal refunding
        yield Charge()
        refunding += 1
        await counted.wait()

    monkeypatch.setattr(cloud.server.inference, "_charge", charge)

    async def ask() -> int:
        return len([each async for each in cloud.inference.Reason(QUESTION, timeout=60)])

    asking = [asyncio.create_task(ask()) for _ in range(2)]
    # With one slot: both have generated.
    await until(lambda: refunding == 2)
    assert cloud.server.admission.running == 0
    counted.set()
    assert all(await asyncio.gather(*asking))


async def test_a_check_that_fails_in_any_way_is_a_strike(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch would otherwise end, and no one would hear of it."""
    monkeypatch.setattr(engine_watch, "_PAUSE_S", 0.01)
    answers = iter([True, False, True, False, False])

    class Failing(ScriptedEngine):
        async def check(self) -> None:
            if not next(answers):
                raise Exception("Call to is_paused method failed")

    with pytest.raises(EngineError, match="hangs: a check failed: Call to is_paused"):
        await asyncio.wait_for(EngineWatch(Failing(), 60.0).run(), 10)
    assert next(answers, None) is None


async def test_cancelled_anywhere_it_leaves_nothing(cloud: Any) -> None:
    """At each of the awaits between arrival and last message, as far as a clock can hit them."""
    cloud.engine.pause_s = 0.002
    began = time.monotonic()
    _ = [each async for each in cloud.inference.Reason(QUESTION)]
    whole_s = time.monotonic() - began
    for step in range(30):
        calls = [cloud.inference.Reason(QUESTION) for _ in range(3)]
        await asyncio.sleep(whole_s * step / 20)
        for call in calls:
            call.cancel()
    await until(lambda: not cloud.server.admission._in_flight)
    admission = cloud.server.admission
    assert (admission.running, admission.waiting, admission._shares) == (0, 0, {})
    assert cloud.engine.running == 0
    assert cloud.server.routes.default.ready().watch._generating == 0
    assert [each async for each in cloud.inference.Reason(QUESTION, timeout=60)]
