"""A signal that is enough is ended by the device, by the pair's calibration."""

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

from duet_contract.v1.inference_pb2 import ReasonRequest, ReasonResponse
from duet_device.client import Client
from duet_device.decoder.lookahead import Drafted
from duet_device.decoder.odds import Odds
from duet_device.events import Event
from duet_device.pairs.pair import Pair
from duet_device.policy.calibrations import store
from duet_device.policy.measures import measures
from duet_device.policy.readiness import CalibratedStop, readiness_along
from tests.doubles.asking import QUESTION, ask, everything_has_arrived, happens
from tests.doubles.calibrations import calibration, threshold
from tests.doubles.cloud import ScriptedCloud, done, text, tokens
from tests.doubles.decoder import END, ScriptedDecoder

# The reasoner has its result after 6 of 26 tokens, and continues.
SIGNAL = b"3*3=9, let me check: 9=3*3"
CHUNK = 3


def signal_of(ids: Sequence[int]) -> str:
    """The signal in a sequence, without the prompt's end if that is there."""
    sequence = bytes(token for token in ids if token < END).decode()
    return sequence.partition(" S:")[2].partition(" A:")[0]


@pytest.fixture
def decoder() -> ScriptedDecoder:
    """Knows the answer, and that it does, once the signal has the result."""

    def follows(ids: Sequence[int]) -> int:
        written = bytes(token for token in ids if token < END).decode().partition(" A:")[2]
        answer = "9" if "=9" in signal_of(ids) else "no"
        return ord(answer[len(written)]) if len(written) < len(answer) else END

    return ScriptedDecoder(follows, sure=lambda ids: 0.99 if "=9" in signal_of(ids) else 0.4)


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What the stop rule found, one for each chunk that it judged."""
    found: list[bool] = []
    judge = CalibratedStop.__call__

    def judges(rule: CalibratedStop, draft: Sequence[Drafted]) -> bool:
        found.append(judge(rule, draft))
        return found[-1]

    monkeypatch.setattr(CalibratedStop, "__call__", judges)
    return found


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUET_HOME", str(tmp_path / "home"))


class Verbose:
    """A cloud that sends a chunk once the device has looked at what came before.

    `verdicts`: what the stop rule finds of each chunk, which is waited for; None: there is no rule.
    `sent`: tokens sent; `cancelled`: set when the call ends before its signal does.
    """

    def __init__(
        self,
        decoder: ScriptedDecoder,
        verdicts: list[bool] | None = None,
        *,
        as_text: bool = False,
    ) -> None:
        self.sent = 0
        self._verdicts = verdicts
        self.cancelled = threading.Event()
        self._decoder, self._as_text = decoder, as_text

    def __call__(
        self, request: ReasonRequest, context: grpc.ServicerContext
    ) -> Iterator[ReasonResponse]:
        context.add_callback(self._over)
        held = request.signal_prefix.tokens.ids
        for start in range(len(held), len(SIGNAL), CHUNK):
            chunk = SIGNAL[start : start + CHUNK]
            self.sent = start + len(chunk)
            judged = len(self._verdicts or ())
            yield text(chunk.decode()) if self._as_text else tokens(*chunk)
            if not self._waits(context, SIGNAL[: self.sent].decode(), judged):
                return
        self._done = True
        yield done(
            len(SIGNAL) - len(held),
            prefix_tokens=len(held),
            encoding=2 if self._as_text else 1,
        )

    def _waits(self, context: grpc.ServicerContext, signal: str, judged: int) -> bool:
        """Wait for the device to look and to judge; return False once it has ended the call."""
        until = time.monotonic() + 60
        while time.monotonic() < until and context.is_active():
            ids = list(self._decoder.ids)
            looked = b" A:" in bytes(ids) and signal_of(ids) == signal
            if looked and (self._verdicts is None or self._verdicts[judged:] == [False]):
                return context.is_active()
            time.sleep(0.001)
        return context.is_active()

    _done = False

    def _over(self) -> None:
        if not self._done:
            self.cancelled.set()


STOP = threshold("least_probability", 0.9)


@pytest.mark.parametrize("as_text", [False, True])
def test_a_signal_that_is_enough_ends(
    pair: Pair, decoder: ScriptedDecoder, verdicts: list[bool], as_text: bool
) -> None:
    store(calibration(stop=STOP), pair.manifest)
    script = Verbose(decoder, verdicts, as_text=as_text)
    events: list[Event] = []
    result, _ = ask(script, pair, decoder, events, budget=30)
    receipt = result.receipt
    assert script.cancelled.wait(60)
    assert (receipt.answer, receipt.finish, receipt.outcome) == ("9", "end+enough", "complete")
    assert receipt.signal == "3*3=9,"
    assert receipt.tokens.signal == 6
    assert receipt.tokens.spared == 14
    assert script.sent == 6
    assert not receipt.low_confidence
    assert receipt.server
    assert signal_of(decoder.ids) == "3*3=9,"


def test_an_early_end_says_nothing_of_its_server(
    pair: Pair, decoder: ScriptedDecoder, verdicts: list[bool]
) -> None:
    """The next question uses the same connection, to the same server."""
    store(calibration(stop=STOP), pair.manifest)
    peers: list[str] = []

    def script(request: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        peers.append(context.peer())
        return Verbose(decoder, verdicts)(request, context)

    with ScriptedCloud(script) as cloud, ScriptedCloud(script) as other:
        servers = f"{cloud.address},{other.address}"
        with Client(pair, decoder=decoder, server=servers, budget=30) as client:  # type: ignore[arg-type]
            finishes = [client.ask(QUESTION).receipt.finish for _ in range(3)]
    assert finishes == ["end+enough"] * 3
    assert len(peers) == 3
    assert len(set(peers)) == 1


def test_never_reads_to_the_end(pair: Pair, decoder: ScriptedDecoder) -> None:
    store(calibration(stop=STOP), pair.manifest)
    receipt = ask(Verbose(decoder), pair, decoder, budget=30, stop="never")[0].receipt
    assert (receipt.finish, receipt.tokens.signal) == ("end", len(SIGNAL))
    assert receipt.tokens.spared is None


def test_without_a_threshold_there_is_no_early_end(pair: Pair, decoder: ScriptedDecoder) -> None:
    receipt = ask(Verbose(decoder), pair, decoder, budget=30)[0].receipt
    assert (receipt.finish, receipt.tokens.signal) == ("end", len(SIGNAL))


@pytest.mark.parametrize(("agreeing", "used"), [(2 / 3, 9), (1.0, 12)])
def test_drafts_that_agree_are_enough(
    pair: Pair, decoder: ScriptedDecoder, verdicts: list[bool], agreeing: float, used: int
) -> None:
    # Three chunks' drafts are compared; the first with the result is that of the second chunk.
    never_sure = ScriptedDecoder(decoder.follows, sure=lambda _: 0.5)
    store(calibration(stop=threshold("agreement", agreeing)), pair.manifest)
    receipt = ask(Verbose(never_sure, verdicts), pair, never_sure, budget=30)[0].receipt
    assert (receipt.answer, receipt.tokens.signal) == ("9", used)


def test_one_step_a_chunk_and_none_that_delays_the_next(
    pair: Pair, decoder: ScriptedDecoder
) -> None:
    """Where everything is there at once, nothing is looked at."""
    store(calibration(stop=STOP), pair.manifest)

    def script(_: ReasonRequest, __: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        for start in range(0, len(SIGNAL), CHUNK):
            yield tokens(*SIGNAL[start : start + CHUNK])
        yield done(len(SIGNAL))

    evaluate = decoder.evaluate

    def slow(ids: list[int], **options: Any) -> None:
        evaluate(ids, **options)
        assert happens(everything_has_arrived)

    decoder.evaluate = slow  # type: ignore[method-assign, assignment]
    receipt = ask(script, pair, decoder, budget=30)[0].receipt
    assert (receipt.finish, receipt.tokens.signal) == ("end", len(SIGNAL))
    prefix = len(f"Q:{QUESTION} S:")
    behind = [each for each in decoder.evaluations if each[0] >= prefix]
    assert behind[0] == (prefix, len(SIGNAL) + len(" A:"))


def test_what_arrived_by_then_is_counted(
    pair: Pair, decoder: ScriptedDecoder, verdicts: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks that the cloud had sent when the call was cancelled."""
    from duet_device import signal_stream
    from duet_device.link import Arrival

    late = tokens(*SIGNAL[6:9]).chunk

    def end_here(link: Any) -> object:
        link.cancel()
        return signal_stream._Enough((Arrival(time.perf_counter(), late),))

    monkeypatch.setattr(signal_stream, "_end_here", end_here)
    store(calibration(stop=STOP), pair.manifest)
    receipt = ask(Verbose(decoder, verdicts), pair, decoder, budget=30)[0].receipt
    assert receipt.signal == "3*3=9,"
    assert receipt.tokens.signal == 9
    assert receipt.tokens.spared == 11


def test_drafts_before_a_signal_began_again_do_not_count() -> None:
    rule = CalibratedStop(threshold("agreement", 1.0))
    draft = [(65, Odds(-0.1, 0.8, 0.4))]
    assert [rule(draft) for _ in range(3)] == [False, False, True]
    rule.begin()
    assert [rule(draft) for _ in range(3)] == [False, False, True]


def test_calibration_sees_what_the_device_sees(pair: Pair, decoder: ScriptedDecoder) -> None:
    prompt = f"Q:{QUESTION} S:".encode()
    decoder.reserve(200)
    decoder.evaluate([*prompt])
    chunks = [list(SIGNAL[start : start + CHUNK]) for start in range(0, len(SIGNAL), CHUNK)]
    ends = frozenset({END})
    first = None
    for count, evidence in readiness_along(decoder, chunks, list(b" A:"), ends):  # type: ignore[arg-type]
        assert signal_of(decoder.ids) == SIGNAL[:count].decode()
        if first is None and measures(evidence)["least_probability"] >= STOP.at_least:
            first = count
    assert first == 6


def test_sampled_answers_start_behind_the_prompt(
    pair: Pair, decoder: ScriptedDecoder, verdicts: list[bool]
) -> None:
    samples: list[str] = []

    def sample(_: object) -> int:
        samples.append(bytes(t for t in decoder.ids if t < END).decode())
        return decoder.most_likely()

    decoder.sample = sample  # type: ignore[method-assign]
    store(calibration(stop=STOP), pair.manifest)
    receipt = ask(Verbose(decoder, verdicts), pair, decoder, budget=30, temperature=0.7, seed=1)[
        0
    ].receipt
    assert (receipt.answer, receipt.finish) == ("9", "end+enough")
    assert samples[0] == f"Q:{QUESTION} S:3*3=9, A:"
