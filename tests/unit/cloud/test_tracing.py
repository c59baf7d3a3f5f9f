"""Spans of questions, exported in memory by the real SDK."""

from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv.schemas import Schemas

from duet_cloud import tracing
from duet_contract.v1.inference_pb2 import ReasonRequest
from tests.doubles.refusals import refused

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def trace_with(monkeypatch):
    """Replaces the tracer: the global provider can be set only once in a process."""
    return lambda provider: monkeypatch.setattr(
        tracing, "_TRACER", provider.get_tracer("duet_cloud")
    )


@pytest.fixture
def spans(trace_with):
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace_with(provider)
    return exporter


@pytest.fixture
def jobs(cloud):
    """What the engine is asked."""
    asked = []
    generate = cloud.engine.generate
    cloud.engine.generate = lambda job: (asked.append(job), generate(job))[1]
    return asked


def _request(cloud, **fields):
    asked = {"question": "a secret plan", "vocabulary": cloud.vocabulary, "budget": 3, **fields}
    return ReasonRequest(**asked)


async def test_a_question_has_one_span_without_its_content(cloud, spans):
    call = cloud.inference.Reason(
        _request(cloud, request_id="mine"), metadata=(("traceparent", PARENT),)
    )
    got = [each async for each in call]
    (span,) = spans.get_finished_spans()
    assert span.name == "reason"
    assert format(span.context.trace_id, "032x") == PARENT.split("-")[1]
    assert format(span.parent.span_id, "016x") == PARENT.split("-")[2]
    assert span.attributes[tracing.MODEL] == "toy@1.2.3"
    assert span.attributes[tracing.RESPONSE_ID] == "mine"
    assert span.attributes[tracing.MOST_TOKENS] == 3
    assert span.attributes[tracing.OUTPUT_TOKENS] == got[-1].end.signal_tokens
    assert span.attributes[tracing.FINISH_REASONS] == ("budget",)
    assert span.attributes[tracing.OUTCOME] == "ok"
    assert "secret" not in span.to_json()


async def test_the_engines_span_is_a_child(cloud, spans, jobs):
    _ = [each async for each in cloud.inference.Reason(_request(cloud))]
    (span,) = spans.get_finished_spans()
    (job,) = jobs
    assert format(span.context.span_id, "016x") == job.trace["traceparent"].split("-")[2]


async def test_a_refusal_is_an_error_of_the_span(cloud, spans):
    await refused(cloud.inference.Reason(_request(cloud, budget=0)))
    (span,) = spans.get_finished_spans()
    assert span.attributes[tracing.ERROR_TYPE] == "INVALID_ARGUMENT"
    assert span.status.status_code is trace.StatusCode.ERROR


async def test_sampling_leaves_out_the_engines_span_as_well(cloud, jobs, trace_with):
    trace_with(TracerProvider(sampler=ParentBased(ALWAYS_OFF)))
    _ = [each async for each in cloud.inference.Reason(_request(cloud))]
    flags = jobs[0].trace["traceparent"].split("-")[3]
    assert not int(flags, 16) & 1


async def test_nothing_is_traced_without_a_provider(cloud, jobs):
    _ = [each async for each in cloud.inference.Reason(_request(cloud))]
    assert jobs[0].trace == {}


def test_names_are_those_of_the_version_of_the_conventions_that_a_span_names():
    known = {value for value in vars(gen_ai_attributes).values() if isinstance(value, str)}
    named = {value for value in vars(tracing).values() if str(value).startswith("gen_ai.")}
    assert named
    assert named <= known
    # `cache_read` came with 1.40.0; 1.42.0 has none of them.
    assert tracing.SCHEMA in {Schemas.V1_40_0.value, Schemas.V1_41_0.value, Schemas.V1_41_1.value}


def test_one_file_has_names_of_the_conventions():
    root = Path(__file__).parents[3]
    files = [*root.glob("cloud/duet_cloud/**/*.py"), *root.glob("device/duet_device/**/*.py")]
    named = [each.name for each in files if "gen_ai." in each.read_text("utf-8")]
    assert named == [Path(tracing.__file__).name]
