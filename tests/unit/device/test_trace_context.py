"""What a call has besides its request: a program's trace, and nothing else of the program."""

import asyncio
import sys

import grpc
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider

from duet_contract.channels import ASKED_BEFORE
from duet_device import AsyncClient
from duet_device.tracing import trace_metadata
from tests.doubles.asking import QUESTION, answer
from tests.doubles.cloud import ScriptedCloud, abort, done, tokens

TRACER = TracerProvider().get_tracer("a program")


@pytest.fixture
def seen():
    return []


@pytest.fixture
def script(seen):
    def script(_, call):
        seen.append(dict(call.invocation_metadata()))
        yield tokens(65)
        yield done(1)

    return script


def _parent(span):
    found = span.get_span_context()
    return f"{found.trace_id:032x}-{found.span_id:016x}"


def _told(metadata):
    """The ids in a call's metadata; flags follow them."""
    return metadata["traceparent"].removeprefix("00-").rpartition("-")[0]


def test_the_present_span_becomes_the_parent(pair, decoder, script, seen):
    with ScriptedCloud(script) as cloud, TRACER.start_as_current_span("work") as span:
        token = context.attach(baggage.set_baggage("secret", "plan"))
        answer(pair, decoder, server=cloud.address)
        context.detach(token)
    (metadata,) = seen
    assert _told(metadata) == _parent(span)
    assert "baggage" not in metadata


async def test_tasks_have_their_own(pair, decoder, script, seen):
    async def ask(client):
        with TRACER.start_as_current_span("work") as span:
            await client.ask(QUESTION)
            return _parent(span)

    with ScriptedCloud(script) as cloud:
        async with AsyncClient(pair, server=cloud.address, decoder=decoder) as client:
            parents = await asyncio.gather(*(ask(client) for _ in range(3)))
    assert sorted(map(_told, seen)) == sorted(parents)


def test_nothing_is_added_without_a_span(pair, decoder, script, seen):
    with ScriptedCloud(script) as cloud:
        answer(pair, decoder, server=cloud.address)
    assert "traceparent" not in seen[0]
    assert not trace.get_current_span().is_recording()


def test_a_call_says_that_one_before_brought_nothing(pair, decoder, seen):
    def script(_, call):
        seen.append(tuple(call.invocation_metadata()))
        if len(seen) == 1:
            abort(call, grpc.StatusCode.UNAVAILABLE, "the engine failed")
        yield tokens(65)
        yield done(1)

    with ScriptedCloud(script) as one, ScriptedCloud(script) as other:
        answer(pair, decoder, server=f"{one.address},{other.address}")
    first, again = seen
    assert ASKED_BEFORE not in first
    assert ASKED_BEFORE in again


def test_opentelemetry_need_not_be_there(monkeypatch):
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    assert trace_metadata() is None
    assert "opentelemetry.trace" not in sys.modules
