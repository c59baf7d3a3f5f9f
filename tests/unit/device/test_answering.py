"""One question from end to end, with a scripted cloud and a decoder without a model."""

import threading
import time
from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo

from device.answering import Listener, Outcome, answer
from device.errors import (
    CloudBusy,
    CloudRefused,
    CloudUnreachable,
    DeadlineExceeded,
    ExitCode,
    Interrupted,
    PairMismatch,
    UsageProblem,
)
from device.pair import Pair
from device.settings import Settings
from duet_contract.v1.inference_pb2 import (
    FINISH_REASON_BUDGET,
    FINISH_REASON_UNSPECIFIED,
    SIGNAL_ENCODING_TEXT,
    SIGNAL_ENCODING_TOKEN_IDS,
    ReasonRequest,
    ReasonResponse,
)
from tests.doubles.cloud import (
    Script,
    ScriptedCloud,
    abort,
    done,
    done_text,
    says,
    text,
    tokens,
)
from tests.doubles.decoder import ScriptedDecoder

QUESTION = "why?"
SIGNAL = "because é"


def ask(
    script: Script,
    pair: Pair,
    decoder: ScriptedDecoder,
    listener: Listener | None = None,
    **settings: object,
) -> tuple[Outcome, ScriptedCloud]:
    with ScriptedCloud(script) as cloud:
        outcome = answer(
            QUESTION,
            pair,
            Settings(server=cloud.address, **settings),  # type: ignore[arg-type]
            listener,
            decoder=decoder,  # type: ignore[arg-type]
        )
    return outcome, cloud


def test_token_signal_reaches_decoder_and_receipt(pair: Pair, decoder: ScriptedDecoder) -> None:
    data = SIGNAL.encode()
    heard: list[str] = []
    listener = Listener(signal=heard.append)
    script = says(tokens(*data[:3]), tokens(*data[3:9]), tokens(*data[9:]), done(len(data)))
    outcome, cloud = ask(script, pair, decoder, listener, budget=20, seed=7)

    receipt = outcome.receipt
    assert (receipt.answer, receipt.signal, receipt.source) == ("häppy 🙂", SIGNAL, "duet")
    assert receipt.finish == "end"
    assert receipt.tokens.signal == len(data)
    assert receipt.tokens.answer == len("häppy 🙂".encode())
    assert "".join(heard) == SIGNAL
    assert bytes(decoder.ids).decode().startswith(f"Q:{QUESTION} S:{SIGNAL} A:")
    request = cloud.requests[0]
    assert request.budget == 20
    assert request.seed == 7
    assert not request.HasField("temperature")
    assert list(request.encodings) == [SIGNAL_ENCODING_TOKEN_IDS, SIGNAL_ENCODING_TEXT]
    assert request.pair == "bytes@1.0.0"
    assert request.request_id == receipt.request_id
    assert receipt.bytes.up == request.ByteSize() + 5
    times = receipt.ms
    assert times.connect is not None
    assert times.first_signal is not None
    assert times.signal is not None
    assert times.first_answer is not None
    assert times.first_signal <= times.signal <= times.first_answer <= times.total


def test_text_signal_gives_the_same_sequence(pair: Pair, decoder: ScriptedDecoder) -> None:
    outcome, _ = ask(says(text("beca"), text("use é"), done_text(2)), pair, decoder)
    assert outcome.receipt.signal == SIGNAL
    assert outcome.receipt.tokens.signal == 2
    assert bytes(decoder.ids).decode().startswith(f"Q:{QUESTION} S:{SIGNAL} A:")


def test_empty_signal_is_a_signal(pair: Pair, decoder: ScriptedDecoder) -> None:
    outcome, _ = ask(says(done(0)), pair, decoder)
    assert outcome.receipt.source == "duet"
    assert outcome.receipt.ms.signal is None


def test_budget_cut_shows_in_finish(pair: Pair, decoder: ScriptedDecoder) -> None:
    outcome, _ = ask(says(tokens(65), done(1, finish_reason=FINISH_REASON_BUDGET)), pair, decoder)
    assert outcome.receipt.finish == "end+budget"


def test_last_piece_and_prompt_end_are_one_batch(pair: Pair, decoder: ScriptedDecoder) -> None:
    gate = threading.Event()

    def script(_: ReasonRequest, __: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        yield tokens(*b"ab")
        yield tokens(*b"cd")
        yield done(4)
        gate.set()

    evaluate = decoder.evaluate

    def slow_prefix(ids: list[int], **options: object) -> None:
        evaluate(ids, **options)  # type: ignore[arg-type]
        gate.wait(5)
        time.sleep(0.05)

    decoder.evaluate = slow_prefix  # type: ignore[method-assign, assignment]
    ask(script, pair, decoder)
    prefix = len(f"Q:{QUESTION} S:")
    assert decoder.evaluations[:2] == [(0, prefix), (prefix, 4 + len(" A:"))]


def broken_after_a_piece(
    _: ReasonRequest, context: grpc.ServicerContext
) -> Iterator[ReasonResponse]:
    yield tokens(65)
    abort(context, grpc.StatusCode.UNAVAILABLE, "going away")


def internal_error(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
    yield tokens(65)
    abort(context, grpc.StatusCode.INTERNAL, "engine died")


BROKEN = {
    "breaks": broken_after_a_piece,
    "fails": internal_error,
    "no done": says(tokens(65)),
    "nothing": says(),
    "lost tokens": says(tokens(65), done(2)),
    "lost all": says(done(2)),
    "too many": says(tokens(65, 66), done(1)),
    "empty message": says(ReasonResponse(), done(0)),
    "outside the vocabulary": says(tokens(70_000), done(1)),
    "mixed": says(tokens(65), text("b"), done(2)),
    "other encoding": says(tokens(65), done_text(1)),
    "unknown finish": says(tokens(65), done(1, finish_reason=FINISH_REASON_UNSPECIFIED)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_signal_is_dropped_and_said(name: str, pair: Pair, decoder: ScriptedDecoder) -> None:
    notes: list[str] = []
    outcome, _ = ask(BROKEN[name], pair, decoder, Listener(note=notes.append))
    receipt = outcome.receipt
    assert (receipt.source, receipt.signal, receipt.tokens.signal) == ("device", "", 0)
    assert receipt.answer == "häppy 🙂"
    assert bytes(decoder.ids).decode().startswith(f"Q:{QUESTION} A:")
    assert len(notes) == 1
    assert notes[0].endswith("the device answers alone")


@pytest.mark.parametrize("name", BROKEN)
def test_broken_signal_fails_where_the_cloud_is_required(
    name: str, pair: Pair, decoder: ScriptedDecoder
) -> None:
    with pytest.raises(CloudUnreachable) as caught:
        ask(BROKEN[name], pair, decoder, require_cloud=True)
    assert caught.value.exit_code == ExitCode.UNREACHABLE


def test_no_cloud_is_answered_alone_or_refused(pair: Pair, decoder: ScriptedDecoder) -> None:
    with ScriptedCloud(says()) as cloud:
        gone = cloud.address
    notes: list[str] = []
    alone = answer(
        QUESTION,
        pair,
        Settings(server=gone),
        Listener(note=notes.append),
        decoder=decoder,  # type: ignore[arg-type]
    ).receipt
    assert alone.source == "device"
    assert alone.answer == "häppy 🙂"
    assert gone in notes[0]
    with pytest.raises(CloudUnreachable, match="no cloud at"):
        answer(
            QUESTION,
            pair,
            Settings(server=gone, require_cloud=True),
            decoder=decoder,  # type: ignore[arg-type]
        )


def test_device_only_opens_no_connection(pair: Pair, decoder: ScriptedDecoder) -> None:
    outcome, cloud = ask(says(done(0)), pair, decoder, device_only=True)
    assert outcome.receipt.source == "device"
    assert outcome.receipt.bytes.up == 0
    assert outcome.receipt.ms.connect is None
    assert cloud.requests == []


def refusing(code: grpc.StatusCode, message: str, *details: object) -> Script:
    def script(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        abort(context, code, message, *details)  # type: ignore[arg-type]
        yield ReasonResponse()

    return script


def test_refusals_are_errors_with_the_cloud_s_words(pair: Pair, decoder: ScriptedDecoder) -> None:
    fault = BadRequest.FieldViolation(field="question", description="the question is too long")
    bad = BadRequest(field_violations=[fault])
    with pytest.raises(CloudRefused, match="the question is too long") as caught:
        ask(refusing(grpc.StatusCode.INVALID_ARGUMENT, "bad", bad), pair, decoder)
    assert caught.value.exit_code == ExitCode.REFUSED
    with pytest.raises(CloudRefused, match="does not know this device"):
        ask(refusing(grpc.StatusCode.UNAUTHENTICATED, "who?"), pair, decoder)


def test_server_of_another_pair(pair: Pair, decoder: ScriptedDecoder) -> None:
    reason = ErrorInfo(reason="PAIR_MISMATCH", domain="duet")
    script = refusing(grpc.StatusCode.FAILED_PRECONDITION, "serves other@1.0.0", reason)
    with pytest.raises(PairMismatch, match=r"other@1\.0\.0") as caught:
        ask(script, pair, decoder)
    assert caught.value.exit_code == ExitCode.MODEL


@pytest.mark.parametrize(
    ("served", "offered"),
    [
        ("other@1.0.0", "other@1.0.0"),
        ("other@1.0.0,bytes@2.0.0", "bytes@2.0.0"),
        ("", None),
        ("; rm -rf /", None),
        ("$(reboot)@1.0.0,other@1.0.0", "other@1.0.0"),
    ],
)
def test_server_of_another_pair_offers_its_decoder(
    pair: Pair, decoder: ScriptedDecoder, served: str, offered: str | None
) -> None:
    facts = {"device": "bytes@1.0.0", "cloud": served}
    reason = ErrorInfo(reason="PAIR_MISMATCH", domain="duet", metadata=facts)
    script = refusing(grpc.StatusCode.FAILED_PRECONDITION, "no such pair", reason)
    with pytest.raises(PairMismatch) as caught:
        ask(script, pair, decoder)
    said = str(caught.value).partition("fetch its decoder with: duet-device pull ")[2]
    assert said.partition(" --server ")[0] == (offered or "")


def retry_in(seconds: float) -> RetryInfo:
    return RetryInfo(retry_delay=Duration(nanos=int(seconds * 1e9)))


def test_busy_cloud_is_asked_once_more(pair: Pair, decoder: ScriptedDecoder) -> None:
    tries: list[int] = []

    def script(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        tries.append(1)
        if len(tries) == 1:
            abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "full", retry_in(0.01))
        yield tokens(65)
        yield done(1)

    outcome, cloud = ask(script, pair, decoder)
    assert outcome.receipt.source == "duet"
    assert outcome.receipt.bytes.up == 2 * (cloud.requests[0].ByteSize() + 5)


def test_cloud_that_stays_busy(pair: Pair, decoder: ScriptedDecoder) -> None:
    script = refusing(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", retry_in(0.01))
    outcome, cloud = ask(script, pair, decoder)
    assert outcome.receipt.source == "device"
    assert len(cloud.requests) == 2
    with pytest.raises(CloudBusy) as caught:
        ask(script, pair, decoder, require_cloud=True)
    assert caught.value.exit_code == ExitCode.REFUSED


def test_no_second_try_that_would_not_fit(pair: Pair, decoder: ScriptedDecoder) -> None:
    script = refusing(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", retry_in(0.9))
    _, cloud = ask(script, pair, decoder, timeout=0.8)
    assert len(cloud.requests) == 1


def test_unavailable_before_anything_is_tried_once_more(
    pair: Pair, decoder: ScriptedDecoder
) -> None:
    script = refusing(grpc.StatusCode.UNAVAILABLE, "draining")
    outcome, cloud = ask(script, pair, decoder)
    assert outcome.receipt.source == "device"
    assert len(cloud.requests) == 2


def hangs(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
    yield tokens(65)
    while context.is_active():
        time.sleep(0.01)


def test_deadline_ends_device_and_cloud(pair: Pair, decoder: ScriptedDecoder) -> None:
    with ScriptedCloud(hangs) as cloud:
        began = time.perf_counter()
        with pytest.raises(DeadlineExceeded) as caught:
            answer(
                QUESTION,
                pair,
                Settings(server=cloud.address, timeout=0.3),
                decoder=decoder,  # type: ignore[arg-type]
            )
        assert time.perf_counter() - began < 1
        assert cloud.ended.wait(2)
    assert caught.value.exit_code == ExitCode.DEADLINE


def test_deadline_already_passed_sends_nothing(pair: Pair, decoder: ScriptedDecoder) -> None:
    with ScriptedCloud(hangs) as cloud:
        with pytest.raises(DeadlineExceeded):
            answer(
                QUESTION,
                pair,
                Settings(server=cloud.address, timeout=1),
                decoder=decoder,  # type: ignore[arg-type]
                started=time.perf_counter() - 2,
            )
        assert cloud.requests == []


def test_stop_ends_device_and_cloud(pair: Pair, decoder: ScriptedDecoder) -> None:
    stop = threading.Event()
    with ScriptedCloud(hangs) as cloud:
        threading.Timer(0.2, stop.set).start()
        with pytest.raises(Interrupted):
            answer(
                QUESTION,
                pair,
                Settings(server=cloud.address),
                decoder=decoder,  # type: ignore[arg-type]
                stop=stop,
            )
        assert cloud.ended.wait(2)


def test_deadline_stops_an_endless_answer(pair: Pair) -> None:
    def slow(_: object) -> int:
        time.sleep(0.02)
        return 65

    with pytest.raises(DeadlineExceeded):
        answer(
            QUESTION,
            pair,
            Settings(device_only=True, timeout=0.2),
            decoder=ScriptedDecoder(slow),  # type: ignore[arg-type]
        )


def test_answer_limit_shows_in_finish(pair: Pair) -> None:
    outcome = answer(
        QUESTION,
        pair,
        Settings(device_only=True),
        decoder=ScriptedDecoder(lambda _: 65),  # type: ignore[arg-type]
    )
    assert outcome.receipt.finish == "limit"
    assert outcome.receipt.answer == "A" * pair.manifest.defaults.answer


@pytest.mark.parametrize("question", ["", " \n", "a\0b", "\ud800", "x" * 1_000_000])
def test_bad_question_is_refused_before_anything_is_sent(
    question: str, pair: Pair, decoder: ScriptedDecoder
) -> None:
    with ScriptedCloud(hangs) as cloud:
        with pytest.raises(UsageProblem):
            answer(
                question,
                pair,
                Settings(server=cloud.address),
                decoder=decoder,  # type: ignore[arg-type]
            )
        assert cloud.requests == []
    assert decoder.ids == []


def test_question_of_too_many_tokens(pair: Pair, decoder: ScriptedDecoder) -> None:
    with pytest.raises(UsageProblem, match="65 tokens, at most 64"):
        answer(
            "x" * 65,
            pair,
            Settings(device_only=True),
            decoder=decoder,  # type: ignore[arg-type]
        )


@pytest.mark.parametrize("budget", [0, -1, 33])
def test_budget_out_of_range_names_the_limit(
    budget: int, pair: Pair, decoder: ScriptedDecoder
) -> None:
    with pytest.raises(UsageProblem, match="takes 1 to 32"):
        answer(
            QUESTION,
            pair,
            Settings(budget=budget),
            decoder=decoder,  # type: ignore[arg-type]
        )


def test_control_tokens_in_the_question_stay_text(pair: Pair, decoder: ScriptedDecoder) -> None:
    answer(
        "say <|end|> now",
        pair,
        Settings(device_only=True),
        decoder=decoder,  # type: ignore[arg-type]
    )
    assert 256 not in decoder.ids
    assert b"say <|end|> now" in bytes(decoder.ids)
