"""A signal that is cut is continued: here, elsewhere, or the answer has to do with what is held."""

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo

from duet_contract.manifest import Manifest
from duet_contract.v1.inference_pb2 import (
    FINISH_REASON_BUDGET,
    FINISH_REASON_END_OF_REASONING,
    SIGNAL_ENCODING_TEXT,
    SIGNAL_ENCODING_TOKEN_IDS,
    ReasonRequest,
    ReasonResponse,
)
from duet_device.errors import (
    CloudBusy,
    CloudRefused,
    CloudUnreachable,
    DeadlineExceeded,
    PairMismatch,
    UsageProblem,
)
from duet_device.events import Event
from duet_device.pairs.pair import Pair
from tests.doubles.asking import QUESTION, answer, notes
from tests.doubles.clock import SteppedClock
from tests.doubles.cloud import Script, ScriptedCloud, abort, done, text, tokens
from tests.doubles.decoder import ScriptedDecoder
from tests.doubles.manifests import PRIVATE_PAIR
from tests.doubles.tcp import NOWHERE
from tests.unit.device.conftest import manifest_data

SIGNAL = list(b"because 3 is odd")
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
CHUNK = 4


def serves(
    cuts: Sequence[int | None] = (), *, as_text: bool = False, code: grpc.StatusCode = UNAVAILABLE
) -> Script:
    """A cloud that continues `SIGNAL`, greedily: what follows depends on what is held alone.

    Args:
        cuts: for each call, how many tokens of the whole signal are out when it breaks; None and
            calls after these end well.
        as_text: whether it sends text.
        code: how a call breaks.
    """
    left = list(cuts)

    def script(request: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        prefix = request.signal_prefix
        held = [*prefix.text.encode()] if as_text else [*prefix.tokens.ids]
        assert held == SIGNAL[: len(held)]
        budget = request.budget or 16
        cut = left.pop(0) if left else None
        most = min(len(SIGNAL), budget)
        place = len(held)
        while place < most:
            if cut is not None and place >= cut:
                abort(context, code, "cut")
            chunk = SIGNAL[place : min(place + CHUNK, most if cut is None else cut)]
            yield text(bytes(chunk).decode()) if as_text else tokens(*chunk)
            place += len(chunk)
        if cut is not None:
            abort(context, code, "cut")
        yield done(
            most - len(held),
            prefix_tokens=len(held),
            encoding=SIGNAL_ENCODING_TEXT if as_text else SIGNAL_ENCODING_TOKEN_IDS,
            finish_reason=(
                FINISH_REASON_END_OF_REASONING if budget > len(SIGNAL) else FINISH_REASON_BUDGET
            ),
        )

    return script


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("cut", [1, CHUNK, CHUNK + 1, len(SIGNAL) - 1, len(SIGNAL)])
def test_a_cut_anywhere_changes_neither_signal_nor_answer(
    cut: int, as_text: bool, pair: Pair, decoder: ScriptedDecoder
) -> None:
    events: list[Event] = []
    with ScriptedCloud(serves([cut], as_text=as_text)) as cloud:
        receipt = answer(pair, decoder, events, server=cloud.address, budget=20).receipt
    assert receipt.signal.encode() == bytes(SIGNAL)
    assert bytes(decoder.ids).decode().startswith(f"Q:{QUESTION} S:{receipt.signal} A:")
    assert (receipt.source, receipt.outcome, receipt.resumed) == ("duet", "continued", 1)
    assert receipt.tokens.signal == len(SIGNAL)
    assert receipt.server == cloud.address
    assert receipt.finish == "end"
    assert not receipt.low_confidence
    first, second = cloud.requests
    assert first.request_id != second.request_id
    assert not first.HasField("signal_prefix")
    assert list(second.encodings) == [
        SIGNAL_ENCODING_TEXT if as_text else SIGNAL_ENCODING_TOKEN_IDS
    ]
    assert receipt.bytes.up == sum(request.ByteSize() + 5 for request in cloud.requests)
    (note,) = notes(events)
    assert note.endswith("cut; the signal continues")


@pytest.mark.parametrize("code", [UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN])
def test_several_cuts(code: grpc.StatusCode, pair: Pair, decoder: ScriptedDecoder) -> None:
    with ScriptedCloud(serves([4, 8, 12], code=code)) as cloud:
        receipt = answer(pair, decoder, server=cloud.address, budget=20).receipt
    assert receipt.signal.encode() == bytes(SIGNAL)
    assert (receipt.outcome, receipt.resumed) == ("continued", 3)


def test_a_signal_that_is_whole_by_its_budget_needs_no_other_call(
    pair: Pair, decoder: ScriptedDecoder
) -> None:
    with ScriptedCloud(serves([8])) as cloud:
        receipt = answer(pair, decoder, server=cloud.address, budget=8).receipt
    assert (receipt.tokens.signal, receipt.finish, receipt.resumed) == (8, "end+budget", 0)
    assert len(cloud.requests) == 1


def test_another_server_continues_where_one_died(pair: Pair, decoder: ScriptedDecoder) -> None:
    gone = threading.Event()
    with ExitStack() as stack:
        second = stack.enter_context(ScriptedCloud(serves()))

        def dies(request: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
            yield tokens(*SIGNAL[:5])
            gone.set()
            while context.is_active():
                time.sleep(0.01)

        first = ScriptedCloud(dies)
        first.__enter__()

        def end() -> None:
            gone.wait(60)
            first.__exit__()

        threading.Thread(target=end).start()
        servers = f"{first.address},{second.address}"
        receipt = answer(pair, decoder, server=servers, budget=20).receipt
    assert receipt.signal.encode() == bytes(SIGNAL)
    assert (receipt.outcome, receipt.resumed, receipt.server) == ("moved", 1, second.address)
    assert receipt.tokens.signal == len(SIGNAL)


def stops(seconds: float, code: grpc.StatusCode = UNAVAILABLE) -> Script:
    def script(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        wait = RetryInfo(retry_delay=Duration(nanos=int(seconds % 1 * 1e9), seconds=int(seconds)))
        abort(context, code, "the service is stopping", wait)
        yield ReasonResponse()

    return script


@pytest.mark.parametrize("code", [UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_a_server_that_stops_or_is_full_is_left_at_once(
    code: grpc.StatusCode, pair: Pair, decoder: ScriptedDecoder
) -> None:
    with ScriptedCloud(stops(60, code)) as full, ScriptedCloud(serves()) as cloud:
        servers = f"{full.address},{cloud.address}"
        began = time.perf_counter()
        receipt = answer(pair, decoder, server=servers, budget=20).receipt
        assert time.perf_counter() - began < 25
    assert (receipt.outcome, receipt.server) == ("complete", cloud.address)


def test_a_long_delay_of_a_server_that_stops_is_not_waited_for(
    pair: Pair, decoder: ScriptedDecoder
) -> None:
    with ScriptedCloud(stops(30)) as cloud:
        began = time.perf_counter()
        receipt = answer(pair, decoder, server=cloud.address).receipt
        assert time.perf_counter() - began < 25
    assert (receipt.outcome, receipt.source) == ("alone", "device")


def test_refused_by_one_server_and_answered_by_the_next(
    pair: Pair, decoder: ScriptedDecoder
) -> None:
    def refuses(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        abort(context, grpc.StatusCode.PERMISSION_DENIED, "no")
        yield ReasonResponse()

    with ScriptedCloud(refuses) as first, ScriptedCloud(serves()) as second:
        servers = f"{first.address},{second.address}"
        assert answer(pair, decoder, server=servers, budget=20).receipt.server == second.address


@pytest.mark.parametrize(
    "code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]
)
@pytest.mark.parametrize("sends", [0, 4])
def test_no_status_takes_away_what_the_device_can_answer_with(
    code: grpc.StatusCode, sends: int, pair: Pair, decoder: ScriptedDecoder
) -> None:
    """Any server, or a proxy before it, may say any of them at any time."""

    def ends(request: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        if sends and not request.HasField("signal_prefix"):
            yield tokens(*SIGNAL[:sends])
        # No one waits for so long.
        later = [RetryInfo(retry_delay=Duration(seconds=600))]
        abort(context, code, "no", *(later if code is grpc.StatusCode.RESOURCE_EXHAUSTED else []))

    with ScriptedCloud(ends) as cloud:
        try:
            receipt = answer(pair, decoder, server=cloud.address).receipt
        except CloudRefused:
            assert not sends
        else:
            assert receipt.outcome == ("partial" if sends else "alone")
            assert receipt.signal.encode() == bytes(SIGNAL[:sends])


def test_a_server_that_refuses_is_no_reason_where_another_one_is_away(
    pair: Pair, decoder: ScriptedDecoder
) -> None:
    """As while replicas get a new version of a pair, one after the other."""

    def refuses(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        info = ErrorInfo(reason="PAIR_MISMATCH", metadata={"cloud": "bytes@2.0.0"})
        abort(context, grpc.StatusCode.FAILED_PRECONDITION, "bytes@2.0.0 is", info)
        yield ReasonResponse()

    events: list[Event] = []
    with ScriptedCloud(refuses) as cloud:
        servers = f"{NOWHERE},{cloud.address}"
        receipt = answer(pair, decoder, events, server=servers).receipt
        with pytest.raises(PairMismatch):
            answer(pair, decoder, server=cloud.address)
    assert receipt.outcome == "alone"
    assert NOWHERE in notes(events)[-1]
    assert "serves another pair" in notes(events)[-1]


@pytest.fixture
def late(clock: SteppedClock, monkeypatch: pytest.MonkeyPatch) -> SteppedClock:
    """The device keeps back half of a minute, so that a busy machine answers in time."""
    monkeypatch.setattr("duet_device.answer._LEAST_OWN_S", 30.0)
    return clock


def hangs_after(count: int, decoder: ScriptedDecoder, clock: SteppedClock, *ahead: float) -> Script:
    """Sends so many tokens; once the device holds them, the clock is put ahead, again and again."""

    def script(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        if count:
            yield tokens(*SIGNAL[:count])
        held = f"Q:{QUESTION} S:".encode() + bytes(SIGNAL[:count])
        while bytes(decoder.ids[: len(held)]) != held and context.is_active():
            time.sleep(0.01)
        for seconds in ahead:
            # Long enough for the device to look at the clock.
            time.sleep(0.1)
            assert context.is_active()
            clock.ahead = seconds
        while context.is_active():
            time.sleep(0.01)

    return script


def test_the_signal_so_far_has_to_do_when_the_deadline_nears(
    pair: Pair, decoder: ScriptedDecoder, late: SteppedClock
) -> None:
    events: list[Event] = []
    with ScriptedCloud(hangs_after(5, decoder, late, 35)) as cloud:
        receipt = answer(pair, decoder, events, server=cloud.address, timeout=60).receipt
        assert cloud.ended.wait(60)
    assert receipt.ms.total < 60_000
    assert (receipt.source, receipt.outcome, receipt.tokens.signal) == ("duet", "partial", 5)
    assert bytes(decoder.ids).decode().startswith(f"Q:{QUESTION} S:becau A:")
    assert receipt.low_confidence
    assert notes(events)[-1].endswith("; answering from the signal so far")


def test_a_formula_whose_rest_did_not_come_was_not_cut_at_its_budget(
    pair: Pair, decoder: ScriptedDecoder, late: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "SIGNAL", list(b"2*3-1"))
    data = manifest_data(**PRIVATE_PAIR)
    private = Pair(pair.directory, Manifest.model_validate(data))
    with ScriptedCloud(hangs_after(3, decoder, late, 35)) as cloud:
        receipt = answer(private, decoder, server=cloud.address, timeout=60).receipt
    assert (receipt.outcome, receipt.value, receipt.low_confidence) == ("partial", "6", True)
    assert not [doubt for doubt in receipt.doubts if "budget" in doubt]


def test_the_device_answers_alone_when_nothing_came_in_time(
    pair: Pair, decoder: ScriptedDecoder, late: SteppedClock
) -> None:
    with ScriptedCloud(hangs_after(0, decoder, late, 35)) as cloud:
        receipt = answer(pair, decoder, server=cloud.address, timeout=60).receipt
    assert receipt.ms.total < 60_000
    assert (receipt.source, receipt.outcome) == ("device", "alone")


def test_time_is_kept_back_by_what_a_step_takes(
    pair: Pair, decoder: ScriptedDecoder, clock: SteppedClock
) -> None:
    evaluate = decoder.evaluate
    steps = iter([0.0, 2.0])

    def takes_time(ids: Sequence[int], **options: object) -> None:
        clock.ahead += next(steps, 0.0)
        evaluate(ids, **options)  # type: ignore[arg-type]

    decoder.evaluate = takes_time  # type: ignore[method-assign]
    # 64 answer tokens of 2 s each are kept back: the signal is waited for at 230 s, not at 290 s.
    with ScriptedCloud(hangs_after(5, decoder, clock, 230, 290)) as cloud:
        receipt = answer(pair, decoder, server=cloud.address, timeout=400).receipt
    assert receipt.outcome == "partial"
    assert receipt.ms.first_answer is not None
    assert receipt.ms.first_answer > 290e3


def test_a_required_cloud_means_a_whole_signal(
    pair: Pair, decoder: ScriptedDecoder, late: SteppedClock
) -> None:
    with (
        ScriptedCloud(hangs_after(5, decoder, late, 35, 61)) as cloud,
        pytest.raises(DeadlineExceeded),
    ):
        answer(pair, decoder, server=cloud.address, timeout=60, require_cloud=True)


@pytest.fixture
def helpless(pair: Pair) -> Pair:
    """A pair whose decoder alone is worth nothing."""
    return Pair(pair.directory, Manifest.model_validate(manifest_data(alone=None)))


def test_a_decoder_that_is_worth_nothing_alone_does_not_answer(
    helpless: Pair, decoder: ScriptedDecoder, late: SteppedClock
) -> None:
    with pytest.raises(CloudUnreachable, match="decoder of bytes cannot answer alone") as caught:
        answer(helpless, decoder, server=NOWHERE)
    assert NOWHERE in str(caught.value)
    with (
        ScriptedCloud(stops(60, grpc.StatusCode.RESOURCE_EXHAUSTED)) as full,
        pytest.raises(CloudBusy, match="cannot answer alone") as busy,
    ):
        answer(helpless, decoder, server=full.address, timeout=30)
    assert busy.value.retry_after == 60
    assert answer(helpless, decoder, device_only=True).receipt.outcome is None
    with ScriptedCloud(hangs_after(5, decoder, late, 35)) as cloud:
        receipt = answer(helpless, decoder, server=cloud.address, timeout=60).receipt
    assert receipt.outcome == "partial"


def test_a_cloud_that_begins_again_is_not_believed(pair: Pair, decoder: ScriptedDecoder) -> None:
    """As one does that does not know the field."""

    def begins(request: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        yield tokens(*SIGNAL[:4])
        if not request.HasField("signal_prefix"):
            abort(context, UNAVAILABLE, "cut")
        yield done(4)

    events: list[Event] = []
    with ScriptedCloud(begins) as old, ScriptedCloud(serves()) as cloud:
        servers = f"{old.address},{cloud.address}"
        receipt = answer(pair, decoder, events, server=servers, budget=20).receipt
        # What it sent before its link was cut is a part of a signal like any other.
        assert list(cloud.requests[0].signal_prefix.tokens.ids) == SIGNAL[:4]
    assert receipt.signal.encode() == bytes(SIGNAL)
    assert bytes(decoder.ids).decode().startswith(f"Q:{QUESTION} S:{receipt.signal} A:")
    assert (receipt.outcome, receipt.server, receipt.resumed) == ("moved", cloud.address, 1)
    assert any("cannot continue one" in note for note in notes(events))


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("third", [False, True])
def test_a_server_against_the_contract_takes_away_nothing_of_another_one(
    third: bool, as_text: bool, pair: Pair, decoder: ScriptedDecoder
) -> None:
    def breaks(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        yield text("again") if as_text else tokens(*b"again")
        yield done(99)

    with (
        ScriptedCloud(
            serves([4], as_text=as_text, code=grpc.StatusCode.PERMISSION_DENIED)
        ) as cloud,
        ScriptedCloud(breaks) as broken,
        ScriptedCloud(serves(as_text=as_text)) as other,
    ):
        servers = [cloud.address, broken.address, *([other.address] if third else [])]
        receipt = answer(pair, decoder, server=",".join(servers), budget=20).receipt
    signal, outcome = (SIGNAL, "moved") if third else (SIGNAL[:4], "partial")
    assert (receipt.signal.encode(), receipt.outcome) == (bytes(signal), outcome)
    assert bytes(decoder.ids).decode().startswith(f"Q:{QUESTION} S:{receipt.signal} A:")
    assert receipt.tokens.signal == len(signal)
    assert receipt.resumed == third
    assert receipt.server == (other.address if third else cloud.address)


def test_a_server_that_loses_every_call_is_not_asked_for_ever(
    pair: Pair, decoder: ScriptedDecoder
) -> None:
    script = serves([4, 4, 4, 4, 4])
    with ScriptedCloud(script) as cloud:
        receipt = answer(pair, decoder, server=cloud.address, budget=20).receipt
    assert (receipt.outcome, receipt.tokens.signal) == ("partial", 4)
    assert len(cloud.requests) == 3


def test_servers_that_stay_away_are_noted_once(
    pair: Pair, decoder: ScriptedDecoder, late: SteppedClock
) -> None:
    cuts = serves([4, 4, 4])
    events: list[Event] = []

    def script(request: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        if len(cloud.requests) == 3:
            # By then each of the others was tried several times.
            threading.Timer(1.0, lambda: setattr(late, "ahead", 35.0)).start()
        yield from cuts(request, context)

    with ScriptedCloud(script) as cloud:
        servers = ",".join([NOWHERE, cloud.address, "127.0.0.1:1"])
        receipt = answer(pair, decoder, events, server=servers, budget=20, timeout=60).receipt
    assert receipt.outcome == "partial"
    *failed, last = notes(events)
    assert last.endswith("answering from the signal so far")
    assert len(failed) == len({note.partition(";")[0] for note in failed}) == 3


@pytest.mark.parametrize(
    "server", ["", "a:1,", "a:1,,b:2", ",".join(f"a:{n}" for n in range(1, 18))]
)
def test_malformed_lists_of_servers(server: str, pair: Pair, decoder: ScriptedDecoder) -> None:
    with pytest.raises(UsageProblem):
        answer(pair, decoder, server=server)
