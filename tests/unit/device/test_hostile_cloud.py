"""A cloud that breaks the rules: one line, and the device continues as after a broken link."""

import itertools
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from duet_contract.encodings import MOST_SIGNAL_BYTES_PER_TOKEN
from duet_contract.terminal import one_line
from duet_contract.v1.inference_pb2 import (
    FINISH_REASON_BUDGET,
    FINISH_REASON_UNSPECIFIED,
    SIGNAL_ENCODING_TEXT,
    ReasonRequest,
    ReasonResponse,
    SignalChunk,
    SignalEnd,
    TokenIds,
)
from duet_device.errors import (
    BrokenSignal,
    CloudRefused,
    CloudUnreachable,
    DeadlineExceeded,
    ExitCode,
)
from duet_device.events import Event
from duet_device.held_signal import HeldSignal
from duet_device.pairs.pair import Pair
from tests.doubles.asking import QUESTION, answer, ask, notes
from tests.doubles.clock import SteppedClock
from tests.doubles.cloud import Script, abort, done, done_text, says, text, tokens
from tests.doubles.decoder import ScriptedDecoder

BUDGET = 16


def drips(response: ReasonResponse, *last: ReasonResponse) -> Script:
    """The same message forever, or as long as it is wanted."""

    def script(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        yield from itertools.takewhile(lambda _: context.is_active(), itertools.repeat(response))
        yield from last

    return script


def refuses(code: grpc.StatusCode, message: str) -> Script:
    def script(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        context.abort(code, message)
        yield ReasonResponse()

    return script


def compresses(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
    context.set_compression(grpc.Compression.Gzip)
    yield text("x" * (40 << 20))


def never_ends(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
    yield tokens(65)
    yield done(1)
    while context.is_active():
        yield tokens(65)


HOSTILE = {
    "nothing": says(),
    "no token of those that it counts": says(done(2)),
    "more tokens than it counts": says(tokens(65, 66), done(1)),
    "an empty message": says(ReasonResponse(), done(0)),
    "both encodings": says(tokens(65), text("b"), done(2)),
    "the end of the other encoding": says(tokens(65), done_text(1)),
    "an end for no reason": says(tokens(65), done(1, finish_reason=FINISH_REASON_UNSPECIFIED)),
    "more tokens than the budget": says(tokens(*[65] * (BUDGET + 1)), done(BUDGET + 1)),
    "tokens without end": drips(tokens(65)),
    "text without end": drips(text("word " * 1000)),
    "empty chunks without end": drips(tokens()),
    "empty texts without end": drips(text("")),
    "one text of 900 kB": says(text("ab " * 300_000), done_text(BUDGET)),
    "one word of 900 kB": says(text("x" * 900_000), done_text(BUDGET)),
    "a message of 2 MB": says(text("x" * (2 << 20)), done_text(BUDGET)),
    "a message of 40 MB in 40 kB": compresses,
    "counts four thousand million": says(tokens(65), done(4_000_000_000)),
    "counts them of text": says(text("a b"), done_text(4_000_000_000)),
    "counts none of a text": says(text("a b"), done_text(0)),
    "counts more than came": says(tokens(65), done(2)),
    "an id outside the vocabulary": says(tokens(4_294_967_295), done(1)),
    "a time that is not one": says(tokens(65), done(1, queue_ms=math.nan)),
    "a time without end": says(tokens(65), done(1, decode_ms=math.inf)),
    "a time before now": says(tokens(65), done(1, prefill_ms=-1.0)),
    "an error of 40 kB": refuses(grpc.StatusCode.INTERNAL, "x" * 40_000),
    "an error of many lines": refuses(grpc.StatusCode.INTERNAL, "a\nb\x1b[2J" * 500),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_device_continues_alone(name: str, pair: Pair, decoder: ScriptedDecoder) -> None:
    events: list[Event] = []
    began = time.perf_counter()
    outcome, cloud = ask(HOSTILE[name], pair, decoder, events, budget=BUDGET)
    assert time.perf_counter() - began < 60
    receipt = outcome.receipt
    assert (receipt.source, receipt.answer, receipt.signal) == ("device", "häppy 🙂", "")
    assert (receipt.tokens.signal, receipt.flops.reasoner) == (0, 0)
    assert bytes(decoder.ids).decode().startswith(f"Q:{QUESTION} A:")
    (note,) = notes(events)
    assert len(note) < 600
    assert one_line(note) == note
    assert note.endswith("; the device answers alone")
    assert cloud.ended.wait(60)
    with pytest.raises(CloudUnreachable) as caught:
        ask(HOSTILE[name], pair, decoder, budget=BUDGET, require_cloud=True)
    assert caught.value.exit_code == ExitCode.UNREACHABLE
    assert len(str(caught.value)) < 600
    assert one_line(str(caught.value)) == str(caught.value)


def test_a_message_over_the_limit_is_not_a_busy_cloud(pair: Pair, decoder: ScriptedDecoder) -> None:
    with pytest.raises(CloudUnreachable, match="sent more than a device takes"):
        ask(HOSTILE["a message of 2 MB"], pair, decoder, budget=BUDGET, require_cloud=True)
    long = refuses(grpc.StatusCode.NOT_FOUND, "x" * 40_000)
    with pytest.raises(CloudUnreachable, match="sent more than a device takes"):
        ask(long, pair, decoder, require_cloud=True)


def test_a_request_over_the_cloud_s_limit_is_not_a_busy_cloud(
    pair: Pair, decoder: ScriptedDecoder
) -> None:
    said = "SERVER: Received message larger than max (5000000 vs. 4194304)"
    with pytest.raises(CloudRefused, match="the request is larger than") as caught:
        ask(refuses(grpc.StatusCode.RESOURCE_EXHAUSTED, said), pair, decoder)
    assert type(caught.value) is CloudRefused


def test_what_follows_the_last_message_is_not_read(pair: Pair, decoder: ScriptedDecoder) -> None:
    outcome, cloud = ask(never_ends, pair, decoder)
    assert outcome.receipt.source == "duet"
    assert outcome.receipt.tokens.signal == 1
    assert cloud.ended.wait(60)


def test_a_slow_drip_leaves_time_for_an_answer(
    pair: Pair, decoder: ScriptedDecoder, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Half of a minute is kept back, so that a busy machine answers in time.
    monkeypatch.setattr("duet_device.answer._LEAST_OWN_S", 30.0)

    def script(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        for number in itertools.count():
            if not context.is_active():
                return
            yield text("a ")
            time.sleep(0.05)
            if number == 4:
                clock.ahead = 35.0

    outcome, cloud = ask(script, pair, decoder, timeout=60)
    assert outcome.receipt.outcome == "partial"
    assert cloud.ended.wait(60)
    with pytest.raises(DeadlineExceeded):
        ask(script, pair, decoder, timeout=0.5, require_cloud=True)


@pytest.mark.parametrize("seconds", [-5, -315_576_000_000, 10**11, 315_576_000_000])
def test_a_wait_that_makes_no_sense_is_not_one(
    seconds: int, pair: Pair, decoder: ScriptedDecoder
) -> None:
    def script(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        wait = RetryInfo(retry_delay=Duration(seconds=seconds))
        abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "full", wait)
        yield ReasonResponse()

    events: list[Event] = []
    outcome, cloud = ask(script, pair, decoder, events)
    assert outcome.receipt.source == "device"
    assert len(cloud.requests) == 1
    assert len(notes(events)) == 1


def test_details_that_cannot_be_read(pair: Pair, decoder: ScriptedDecoder) -> None:
    def script(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        status = Status(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="full")
        url = f"type.googleapis.com/{RetryInfo.DESCRIPTOR.full_name}"
        status.details.append(Any(type_url=url, value=b"\xff\xff\xff"))
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
        yield ReasonResponse()

    outcome, _ = ask(script, pair, decoder)
    assert outcome.receipt.source == "device"


class _Raw(grpc.GenericRpcHandler):
    """Sends `messages`, whatever their bytes."""

    def __init__(self, *messages: bytes) -> None:
        self.messages = messages

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_stream_rpc_method_handler(lambda *_: iter(self.messages))

    @contextmanager
    def served(self) -> Iterator[str]:
        server = grpc.server(ThreadPoolExecutor(2), [self])
        address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        try:
            yield address
        finally:
            server.stop(None)


def test_text_that_is_no_utf8(
    pair: Pair, decoder: ScriptedDecoder, capfd: pytest.CaptureFixture[str]
) -> None:
    events: list[Event] = []
    # A chunk of text whose two bytes are not UTF-8, then the end.
    message = ReasonResponse(chunk=SignalChunk(text="ab")).SerializeToString()
    raw = _Raw(message.replace(b"ab", b"\xff\xfe"), done_text(1).SerializeToString())
    with raw.served() as address:
        outcome = answer(pair, decoder, events, server=address)
    assert outcome.receipt.source == "device"
    assert len(notes(events)) == 1
    assert "Traceback" not in capfd.readouterr().err


chunks = st.lists(
    st.builds(
        lambda ids: SignalChunk(tokens=TokenIds(ids=ids)), st.lists(st.integers(0, 9), max_size=9)
    )
    | st.builds(lambda text: SignalChunk(text=text), st.text(max_size=3000)),
    max_size=12,
)


@given(chunks=chunks, budget=st.integers(1, 20))
def test_no_more_than_the_budget_passes(chunks: list[SignalChunk], budget: int) -> None:
    limits = HeldSignal(budget)
    passed: list[SignalChunk] = []
    try:
        for chunk in chunks:
            limits.add(chunk)
            passed.append(chunk)
    except BrokenSignal:
        pass
    else:
        assert len(passed) == len(chunks)
    assert sum(len(chunk.tokens.ids) for chunk in passed) <= budget
    size = sum(len(chunk.text.encode()) for chunk in passed)
    assert size <= budget * MOST_SIGNAL_BYTES_PER_TOKEN
    assert all(chunk.text or chunk.tokens.ids for chunk in passed)


@given(
    count=st.integers(0, 2**32 - 1),
    times=st.tuples(*[st.floats(width=32, allow_nan=True, allow_infinity=True)] * 3),
)
def test_no_count_above_the_budget_and_no_odd_time_passes(
    count: int, times: tuple[float, float, float]
) -> None:
    queue, prefill, decode = times
    said = SignalEnd(
        finish_reason=FINISH_REASON_BUDGET,
        encoding=SIGNAL_ENCODING_TEXT,
        signal_tokens=count,
        queue_ms=queue,
        prefill_ms=prefill,
        decode_ms=decode,
    )
    held = HeldSignal(BUDGET)
    held.add(SignalChunk(text="so"))
    if 1 <= count <= BUDGET and all(0 <= each < math.inf for each in times):
        held.check_end(said)
    else:
        with pytest.raises(BrokenSignal):
            held.check_end(said)


any_count = st.integers(0, 2**32 - 1)
any_response = st.one_of(
    st.builds(
        lambda ids: tokens(*ids),
        st.lists(st.integers(0, 255) | any_count, max_size=2 * BUDGET),
    ),
    st.builds(text, st.text(max_size=40) | st.text(" \x1b\u202ea\n", max_size=2000)),
    st.builds(
        lambda count, finish, encoding, when: done(
            count, finish_reason=finish, encoding=encoding, queue_ms=when
        ),
        st.integers(0, BUDGET) | any_count,
        st.integers(0, 4),
        st.integers(0, 3),
        st.floats(width=32),
    ),
    st.just(ReasonResponse()),
)


@st.composite
def any_message(draw: st.DrawFn) -> bytes:
    """A message as it should be, or one with bytes changed, cut or made up."""
    data: bytes = draw(any_response).SerializeToString()
    match draw(st.sampled_from(["whole", "whole", "cut", "changed", "made up"])):
        case "cut":
            return data[: draw(st.integers(0, len(data)))]
        case "changed" if data:
            place = draw(st.integers(0, len(data) - 1))
            return data[:place] + draw(st.binary(min_size=1, max_size=3)) + data[place + 1 :]
        case "made up":
            return draw(st.binary(max_size=60))
    return data


@pytest.mark.slow
def test_no_stream_of_messages_does_more_than_end_in_a_line(
    pair: Pair, decoder: ScriptedDecoder, capfd: pytest.CaptureFixture[str]
) -> None:
    raw = _Raw()

    @settings(
        max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(messages=st.lists(any_message(), max_size=5))
    def ask_it(messages: list[bytes]) -> None:
        raw.messages = tuple(messages)
        events: list[Event] = []
        began = time.perf_counter()
        try:
            outcome = answer(pair, decoder, events, server=address, budget=BUDGET, timeout=1.5)
        except DeadlineExceeded:
            # A cut signal continues for as long as there is time.
            assert 1.4 < time.perf_counter() - began < 60
            return
        assert time.perf_counter() - began < 60
        receipt = outcome.receipt
        assert receipt.answer == "häppy 🙂"
        # Of a part of a text, the decoder's own tokens are counted.
        assert receipt.outcome == "partial" or receipt.tokens.signal <= BUDGET
        assert len(receipt.signal.encode()) <= BUDGET * MOST_SIGNAL_BYTES_PER_TOKEN
        assert all(len(note) < 600 and one_line(note) == note for note in notes(events))

    with raw.served() as address:
        ask_it()
    assert "Traceback" not in capfd.readouterr().err
