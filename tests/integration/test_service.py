"""The real service: vLLM on this machine behind real gRPC."""

import asyncio
import time

import grpc
import pytest
import pytest_asyncio
from opentelemetry.sdk.trace import TracerProvider

from duet_contract.channels import open_aio_channel
from duet_contract.encodings import encode_signal_text
from duet_contract.v1.control_pb2 import DescribePairRequest
from duet_contract.v1.control_pb2_grpc import ControlServiceStub
from duet_contract.v1.inference_pb2 import (
    FINISH_REASON_BUDGET,
    FINISH_REASON_END_OF_REASONING,
    SIGNAL_ENCODING_TEXT,
    SIGNAL_ENCODING_TOKEN_IDS,
    ReasonRequest,
    SignalChunk,
    TokenIds,
)
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from duet_contract.vocabulary import HubTokenizer
from duet_device.tracing import trace_metadata
from tests.doubles.unread import until

pytestmark = pytest.mark.engine

QUESTION = "Tom has 3 apples and buys 5 more. How many apples has he?"
LONG = "Tell me a very long story about a dragon, a tower and seventeen knights."
# Tokens that may still come once a device has left: those of a step, and what figures lag behind.
MOST_AFTER = 5


@pytest_asyncio.fixture
async def stub(service):
    async with open_aio_channel(service.address) as channel:
        yield InferenceServiceStub(channel)


@pytest.fixture
def ask(real_manifest):
    def build(question=QUESTION, **changes):
        values = {
            "question": question,
            "budget": 96,
            "temperature": 0.0,
            "encodings": [SIGNAL_ENCODING_TOKEN_IDS, SIGNAL_ENCODING_TEXT],
            "vocabulary": bytes.fromhex(real_manifest.decoder.vocabulary.sha256),
        }
        return ReasonRequest(**{**values, **changes})

    return build


async def _settles(service, name, value):
    """Waits for one of the engine's own figures; they are reported once per engine step."""
    until = time.monotonic() + 60
    while service.metric(name) != value:
        assert time.monotonic() < until, f"{name} is {service.metric(name)}, not {value}"
        await asyncio.sleep(0.05)


async def test_a_signal_ends_where_the_reasoner_closes_it(stub, ask, real_manifest):
    *chunks, last = [response async for response in stub.Reason(ask())]
    ids = [token for response in chunks for token in response.chunk.tokens.ids]
    assert len(chunks[0].chunk.tokens.ids) == 1
    assert last.end.finish_reason == FINISH_REASON_END_OF_REASONING
    assert last.end.signal_tokens == len(ids) > 0
    assert last.end.prompt_tokens > 0
    assert last.end.decode_ms > 0
    controls = range(17)  # this vocabulary's control tokens are its first
    assert not set(ids) & set(controls)


async def test_budget_cuts_and_says_so(stub, ask):
    *chunks, last = [response async for response in stub.Reason(ask(budget=7))]
    assert sum(len(response.chunk.tokens.ids) for response in chunks) == 7
    assert last.end.finish_reason == FINISH_REASON_BUDGET


async def test_a_greedy_signal_continues_after_any_token(stub, ask):
    """What follows is valid, and may differ: as a prompt, a start is computed in other batches."""
    *chunks, last = [response async for response in stub.Reason(ask())]
    whole = [token for response in chunks for token in response.chunk.tokens.ids]
    for cut in (1, len(whole) // 2, len(whole) - 1):
        prefix = SignalChunk(tokens=TokenIds(ids=whole[:cut]))
        *rest, end = [r async for r in stub.Reason(ask(signal_prefix=prefix))]
        ids = [token for response in rest for token in response.chunk.tokens.ids]
        assert (end.end.prefix_tokens, end.end.signal_tokens) == (cut, len(ids))
        assert cut + len(ids) <= 96
        assert end.end.prompt_tokens == last.end.prompt_tokens + cut


async def test_a_text_signal_continues(stub, ask):
    text = ask(encodings=[SIGNAL_ENCODING_TEXT])
    *chunks, _ = [response async for response in stub.Reason(text)]
    parts = [response.chunk.text for response in chunks]
    for cut in (1, len(parts) // 2, len(parts) - 1):
        text.signal_prefix.text = "".join(parts[:cut])
        *_, end = [response async for response in stub.Reason(text)]
        assert end.end.prefix_tokens > 0
        assert end.end.prefix_tokens + end.end.signal_tokens <= 96


async def test_a_sampled_signal_continues(stub, ask):
    sampled = ask(temperature=1.0, seed=3)
    *chunks, _ = [response async for response in stub.Reason(sampled)]
    held = [token for response in chunks for token in response.chunk.tokens.ids][:9]
    sampled.signal_prefix.tokens.ids[:] = held
    *rest, end = [response async for response in stub.Reason(sampled)]
    ids = [token for response in rest for token in response.chunk.tokens.ids]
    assert len(ids) == end.end.signal_tokens <= 96 - len(held)


async def test_text_and_token_ids_are_the_same_signal(stub, ask, real_pair, real_manifest):
    tokens = [r async for r in stub.Reason(ask())]
    text = [r async for r in stub.Reason(ask(encodings=[SIGNAL_ENCODING_TEXT]))]
    tokenizer = HubTokenizer.from_directory(real_pair / real_manifest.reasoner.path)
    ids = [token for response in tokens for token in response.chunk.tokens.ids]
    whole = "".join(response.chunk.text for response in text)
    assert tokenizer._tokenizer.decode(ids) == whole
    vocabulary = real_manifest.decoder.vocabulary
    assert tokenizer._tokenizer.decode(encode_signal_text(tokenizer, vocabulary, whole)) == whole


async def test_the_prompt_is_the_one_built_here(service, stub, ask, real_pair):
    from duet_cloud.reasoner import PairReasoner

    *_, last = [response async for response in stub.Reason(ask(budget=1))]
    reasoner = PairReasoner.load(real_pair)
    assert last.end.prompt_tokens == len(reasoner.prompt(reasoner.encode_question(QUESTION)))


async def test_a_seed_repeats_a_sampled_signal(stub, ask):
    async def sample(seed):
        responses = [r async for r in stub.Reason(ask(LONG, temperature=1.0, seed=seed))]
        return [token for response in responses for token in response.chunk.tokens.ids]

    first = await sample(1)
    assert await sample(1) == first
    assert await sample(2) != first


@pytest.mark.parametrize("how", ["cancel", "disconnect"])
async def test_leaving_aborts_in_the_engine(service, ask, how):
    """The engine's own counts, of running requests and of tokens, are the witnesses."""
    before = service.metric("duet_requests_running")
    assert before == 0
    channel = open_aio_channel(service.address)
    call = InferenceServiceStub(channel).Reason(ask(LONG, budget=1500, temperature=1.0, seed=3))
    await call.read()
    await _settles(service, "vllm:num_requests_running", 1)
    if how == "cancel":
        call.cancel()
    else:
        await channel.close(None)
    spent = service.metric("vllm:generation_tokens_total")
    await _settles(service, "vllm:num_requests_running", 0)
    await _settles(service, "duet_requests_running", 0)
    assert service.metric("vllm:generation_tokens_total") - spent <= MOST_AFTER
    await channel.close(None)


async def test_leaving_before_the_first_token(service, ask):
    async with open_aio_channel(service.address) as channel:
        call = InferenceServiceStub(channel).Reason(ask(LONG, budget=1500, temperature=1.0, seed=4))
        await _settles(service, "duet_requests_running", 1)
        call.cancel()
        spent = service.metric("vllm:generation_tokens_total")
        await asyncio.sleep(0.5)  # an engine that continued would have begun by then
    await _settles(service, "duet_requests_running", 0)
    await _settles(service, "vllm:num_requests_running", 0)
    assert service.metric("vllm:generation_tokens_total") - spent <= MOST_AFTER


async def test_beyond_running_and_waiting_is_refused_at_once(service, stub, ask):
    """The service of the tests admits 4 running and 2 waiting."""
    calls = [stub.Reason(ask(LONG, budget=1000, temperature=1.0, seed=i)) for i in range(6)]
    await _settles(service, "duet_requests_waiting", 2)
    started = time.monotonic()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in stub.Reason(ask()):
            pass
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "limits are 4 and 2" in caught.value.details()
    # Those that run would take minutes.
    assert time.monotonic() - started < 30
    for call in calls:
        call.cancel()
    await _settles(service, "vllm:num_requests_running", 0)


async def test_many_streams_do_not_mix(stub, ask):
    """Concurrent signals are those that each question gets alone."""
    questions = [f"What is {n} plus {n + 1}?" for n in range(4)]

    async def first_tokens(question):
        responses = [r async for r in stub.Reason(ask(question, budget=24))]
        return [t for r in responses for t in r.chunk.tokens.ids]

    together = await asyncio.gather(*[first_tokens(question) for question in questions])
    alone = [await first_tokens(question) for question in questions]
    # Batched arithmetic rounds differently, so late tokens may part; mixing would show at once.
    assert [signal[:4] for signal in together] == [signal[:4] for signal in alone]


async def test_describe(service, real_manifest):
    async with open_aio_channel(service.address) as channel:
        described = await ControlServiceStub(channel).DescribePair(DescribePairRequest())
    assert described.id == real_manifest.id
    assert described.manifest_json == real_manifest.to_json()
    assert described.max_budget == real_manifest.limits.budget
    assert described.max_question_tokens == real_manifest.limits.question


async def test_a_trace_reaches_from_the_program_to_the_engine(stub, ask, traces):
    with TracerProvider().get_tracer("a program").start_as_current_span("work") as span:
        call = stub.Reason(ask(budget=4), metadata=trace_metadata())
        _ = [response async for response in call]
    work = span.get_span_context()

    def spans():
        sent = [each for request in traces.kept for each in request.resource_spans]
        found = [one for each in sent for scope in each.scope_spans for one in scope.spans]
        return {one.name: one for one in found if one.trace_id == work.trace_id.to_bytes(16)}

    await until(lambda: spans().keys() == {"reason", "llm_request"})
    assert spans()["reason"].parent_span_id == work.span_id.to_bytes(8)
    assert spans()["llm_request"].parent_span_id == spans()["reason"].span_id
    assert not any("apples" in str(request) for request in traces.kept)
