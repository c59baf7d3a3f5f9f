"""A signal that continues after what the device holds."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2
from hypothesis import given
from hypothesis import strategies as st

from duet_cloud.engine import Job
from duet_cloud.identity.quotas import Charge
from duet_cloud.reasoner import PairReasoner
from duet_cloud.signal_prefix import prefix_ids
from duet_cloud.status import Refusal
from duet_contract.prompts import encode_text
from duet_contract.v1.inference_pb2 import (
    FINISH_REASON_BUDGET,
    FINISH_REASON_END_OF_REASONING,
    SIGNAL_ENCODING_TEXT,
    SIGNAL_ENCODING_TOKEN_IDS,
    ReasonRequest,
    SignalChunk,
    SignalEnd,
    TokenIds,
)
from tests.doubles.refusals import details, refused
from tests.doubles.unread import until
from tests.unit.cloud.conftest import Cloud


@pytest.fixture(scope="module")
def pair(toy_pair: Path) -> PairReasoner:
    return PairReasoner.load(toy_pair)


def held(*ids: int) -> SignalChunk:
    return SignalChunk(tokens=TokenIds(ids=ids))


def request(cloud: Cloud, prefix: SignalChunk, budget: int = 40) -> ReasonRequest:
    return ReasonRequest(
        question="how many apples?",
        budget=budget,
        encodings=[SIGNAL_ENCODING_TOKEN_IDS, SIGNAL_ENCODING_TEXT],
        vocabulary=cloud.vocabulary,
        pair="toy@1.2.3",
        signal_prefix=prefix,
    )


async def signal(cloud: Cloud, asked: ReasonRequest) -> tuple[list[int], SignalEnd]:
    *chunks, last = [response async for response in cloud.inference.Reason(asked)]
    return [i for response in chunks for i in response.chunk.tokens.ids], last.end


async def test_every_start_is_continued_to_the_same_signal(cloud: Cloud) -> None:
    whole, end = await signal(cloud, request(cloud, SignalChunk()))
    assert whole == cloud.engine.script
    assert end.prefix_tokens == 0
    question = cloud.engine.jobs[0].prompt_ids
    for cut in range(1, len(whole)):
        rest, end = await signal(cloud, request(cloud, held(*whole[:cut])))
        job = cloud.engine.jobs[-1]
        assert whole[:cut] + rest == whole
        assert (end.prefix_tokens, end.signal_tokens) == (cut, len(whole) - cut)
        assert end.prompt_tokens == len(question) + cut
        assert job.prompt_ids == question + whole[:cut]
        assert job.budget == 40 - cut


async def test_the_budget_is_that_of_the_whole_signal(cloud: Cloud) -> None:
    rest, end = await signal(cloud, request(cloud, held(*cloud.engine.script[:7]), budget=10))
    assert rest == cloud.engine.script[7:10]
    assert end.finish_reason == FINISH_REASON_BUDGET


async def test_a_signal_that_was_whole_ends_without_the_engine(cloud: Cloud) -> None:
    rest, end = await signal(cloud, request(cloud, held(*cloud.engine.script[:10]), budget=10))
    assert (rest, end.prefix_tokens, end.signal_tokens) == ([], 10, 0)
    value = cloud.server.metrics.registry.get_sample_value
    assert value("duet_continuations_total", {"pair": "toy@1.2.3"}) == 1
    assert end.finish_reason == FINISH_REASON_BUDGET
    assert not cloud.engine.jobs


async def test_a_signal_may_end_right_after_its_start(cloud: Cloud) -> None:
    rest, end = await signal(cloud, request(cloud, held(*cloud.engine.script)))
    assert rest == []
    assert end.finish_reason == FINISH_REASON_BUDGET
    cloud.engine.script = [1, 2]
    rest, end = await signal(cloud, request(cloud, held(1, 2)))
    assert rest == []
    assert end.finish_reason == FINISH_REASON_END_OF_REASONING


async def test_text_is_tokenised_behind_the_question(cloud: Cloud, pair: PairReasoner) -> None:
    asked = request(cloud, SignalChunk(text="so 3 + 4</think> = "))
    asked.vocabulary = b"\0" * 32
    _ = [response async for response in cloud.inference.Reason(asked)]
    ids = encode_text(pair.tokenizer, pair.manifest.reasoner.vocabulary, "so 3 + 4</think> = ")
    job = cloud.engine.jobs[0]
    assert job.prompt_ids[-len(ids) :] == ids
    assert not pair.control_ids.intersection(job.prompt_ids[-len(ids) :])
    assert (job.prefix_tokens, job.budget) == (len(ids), 40 - len(ids))


async def test_a_text_of_more_tokens_than_the_budget_is_whole(cloud: Cloud) -> None:
    """The device cannot count them: a tokenizer may need more for a text than the reasoner did."""
    asked = request(cloud, SignalChunk(text="one two three"), budget=2)
    asked.vocabulary = b"\0" * 32
    (last,) = [response async for response in cloud.inference.Reason(asked)]
    assert (last.end.prefix_tokens, last.end.signal_tokens) == (2, 0)
    assert last.end.finish_reason == FINISH_REASON_BUDGET
    assert not cloud.engine.jobs


async def test_a_start_is_charged_as_prompt(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    charged: list[tuple[Job, Charge]] = []

    @asynccontextmanager
    async def charge(job: Job) -> AsyncIterator[Charge]:
        charged.append((job, Charge()))
        yield charged[-1][1]

    monkeypatch.setattr(cloud.server.inference, "_charge", charge)
    _, end = await signal(cloud, request(cloud, held(*cloud.engine.script[:30])))
    ((job, counted),) = charged
    assert end.signal_tokens == 10
    assert counted.spent == end.prompt_tokens + 10 == len(job.prompt_ids) + job.budget


async def test_a_cut_during_a_continuation_aborts_generation(cloud: Cloud) -> None:
    cloud.engine.pause_s = 0.05
    call = cloud.inference.Reason(request(cloud, held(1, 2)))
    await call.read()
    call.cancel()
    await until(lambda: cloud.engine.aborted)


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        (held(*range(41)), "41 tokens, the budget is 40"),
        (held(1, 4_294_967_295), "token id 4294967295, the vocabulary ends at"),
        (SignalChunk(text="of another encoding"), "text, which is not the encoding"),
    ],
)
async def test_refusals_name_the_field(cloud: Cloud, prefix: SignalChunk, message: str) -> None:
    error = await refused(cloud.inference.Reason(request(cloud, prefix)))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert message in error.details()
    detail = error_details_pb2.BadRequest()
    assert details(error).Unpack(detail)
    assert detail.field_violations[0].field == "signal_prefix"
    assert not cloud.engine.jobs


async def test_no_control_token_passes(cloud: Cloud, pair: PairReasoner) -> None:
    assert len(pair.control_ids) == len(pair.manifest.reasoner.vocabulary.reserved) == 4
    for control in pair.control_ids:
        error = await refused(cloud.inference.Reason(request(cloud, held(1, control, 2))))
        assert error.details() == f"signal_prefix: token id {control} is a control token"


async def test_text_is_refused_by_its_size_before_it_is_tokenised(cloud: Cloud) -> None:
    asked = request(cloud, SignalChunk(text="x" * 641))
    asked.vocabulary = b"\0" * 32
    error = await refused(cloud.inference.Reason(asked))
    assert "641 bytes, the limit for a budget of 40 tokens is 640" in error.details()


@given(
    ids=st.lists(st.integers(0, 700) | st.integers(0, 2**32 - 1), max_size=30),
    budget=st.integers(1, 30),
)
def test_what_passes_is_text_of_the_vocabulary_within_the_budget(
    pair: PairReasoner, ids: list[int], budget: int
) -> None:
    good = (
        len(ids) <= budget
        and all(i < pair.manifest.reasoner.vocabulary.size for i in ids)
        and not pair.control_ids.intersection(ids)
    )
    try:
        passed = prefix_ids(pair, held(*ids), SIGNAL_ENCODING_TOKEN_IDS, budget)
    except Refusal:
        assert not good
    else:
        assert good
        assert passed == ids
