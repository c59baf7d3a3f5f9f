"""Doubtful answers: the device asks for more, and gives the answer with the best support."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_contract.manifest import Manifest
from duet_contract.v1.inference_pb2 import (
    FINISH_REASON_BUDGET,
    FINISH_REASON_END_OF_REASONING,
    SIGNAL_ENCODING_TEXT,
    SIGNAL_ENCODING_TOKEN_IDS,
    ReasonRequest,
    ReasonResponse,
)
from duet_device.errors import ModelProblem, UsageProblem
from duet_device.events import AnswerText, Event, SignalText
from duet_device.pairs.pair import Pair
from duet_device.policy.calibrations import store
from duet_device.policy.measures import Evidence
from duet_device.policy.rounds import Candidate, best, is_settled
from tests.doubles.asking import QUESTION, ask, notes, sent, texts
from tests.doubles.calibrations import calibration, threshold
from tests.doubles.cloud import abort, done, text, tokens
from tests.doubles.decoder import END, ScriptedDecoder
from tests.doubles.manifests import PRIVATE_PAIR
from tests.unit.device.conftest import manifest_data


def decoder_of(answers: dict[str, tuple[str, float]]) -> ScriptedDecoder:
    """Answers each signal with a text, and is so sure of every token of it."""

    def parts(ids: Sequence[int]) -> tuple[str, str]:
        sequence = bytes(token for token in ids if token < END).decode()
        signal, _, written = sequence.partition(" S:")[2].partition(" A:")
        return signal, written

    def follows(ids: Sequence[int]) -> int:
        signal, written = parts(ids)
        answer = answers.get(signal, ("?", 0.1))[0]
        return ord(answer[len(written)]) if len(written) < len(answer) else END

    return ScriptedDecoder(follows, lambda ids: answers.get(parts(ids)[0], ("?", 0.1))[1])


@dataclass
class Reasoner:
    """A cloud whose signals are scripted. A call is cut at its budget."""

    signals: list[str]
    """Signal of each call that begins one, in order."""
    as_text: bool = False
    """Whether signals are sent as text."""
    fails_after: int | None = None
    """Number of calls after which calls are refused; None: no call is refused."""
    calls: int = 0
    """Number of calls."""

    def __call__(
        self, request: ReasonRequest, context: grpc.ServicerContext
    ) -> Iterator[ReasonResponse]:
        self.calls += 1
        if self.fails_after is not None and self.calls > self.fails_after:
            abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "no more for you")
        prefix = request.signal_prefix
        held = prefix.text if self.as_text else bytes(prefix.tokens.ids).decode()
        if not held:
            self.signal = self.signals.pop(0)
        assert self.signal.startswith(held)
        end = min(len(self.signal), request.budget or 16)
        if rest := self.signal[len(held) : end]:
            yield text(rest) if self.as_text else tokens(*rest.encode())
        yield done(
            len(rest),
            prefix_tokens=len(held),
            encoding=SIGNAL_ENCODING_TEXT if self.as_text else SIGNAL_ENCODING_TOKEN_IDS,
            finish_reason=(
                FINISH_REASON_END_OF_REASONING
                if end == len(self.signal) and end < (request.budget or 16)
                else FINISH_REASON_BUDGET
            ),
        )


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUET_HOME", str(tmp_path / "home"))


@pytest.fixture
def doubting(pair: Pair) -> Pair:
    """The pair, calibrated: answers with a token less likely than 0.8 are doubtful."""
    store(calibration(more=threshold("least_probability", 0.8)), pair.manifest)
    return pair


@pytest.mark.parametrize("as_text", [False, True])
def test_the_reasoner_goes_on_behind_a_signal_that_was_cut(doubting: Pair, as_text: bool) -> None:
    decoder = decoder_of({"3*3 ": ("8", 0.4), "3*3 is 9": ("9", 0.95)})
    events: list[Event] = []
    reasoner = Reasoner(["3*3 is 9"], as_text=as_text)
    result, cloud = ask(reasoner, doubting, decoder, events, budget=4, rounds=3)
    receipt = result.receipt
    first, second = cloud.requests
    prefix = second.signal_prefix
    assert (prefix.text if as_text else bytes(prefix.tokens.ids).decode()) == "3*3 "
    assert (first.budget, second.budget) == (4, 8)
    assert first.request_id != second.request_id
    assert len(second.encodings) == 1
    assert (receipt.answer, receipt.signal) == ("9", "3*3 is 9")
    # Only what was generated counts, not what was sent back.
    assert receipt.tokens.signal == 8
    assert [(r.tokens, r.answer, r.kept) for r in receipt.rounds] == [
        (4, "8", False),
        (4, "9", True),
    ]
    assert [r.value for r in receipt.rounds] == pytest.approx([0.4, 0.95])
    assert {r.measure for r in receipt.rounds} == {"least_probability"}
    assert receipt.request_id == second.request_id
    assert receipt.bytes.up == sum(request.ByteSize() + 5 for request in cloud.requests)
    assert len(sent(events)) == 2
    assert texts(events, AnswerText) == ["9"]
    assert "".join(texts(events, SignalText)) == "3*3 is 9"
    (note,) = notes(events)
    assert note == "doubtful answer, asking for more of the signal: round 2 of at most 3"
    assert bytes(decoder.ids[: -len("9")]).decode() == f"Q:{QUESTION} S:3*3 is 9 A:"


def test_a_signal_that_ended_is_tried_again_with_another_seed(doubting: Pair) -> None:
    decoder = decoder_of({"ab": ("8", 0.4), "cd": ("9", 0.9)})
    reasoner = Reasoner(["ab", "cd"])
    result, cloud = ask(reasoner, doubting, decoder, budget=8, rounds=2, seed=5)
    first, second = cloud.requests
    assert not second.HasField("signal_prefix")
    assert first.seed == 5
    assert second.seed != 5
    # The first was greedy, and would be the same again.
    assert not first.HasField("temperature")
    assert second.temperature == pytest.approx(0.7)
    assert (result.receipt.answer, result.receipt.signal) == ("9", "cd")
    assert result.receipt.tokens.signal == 4
    assert result.signal_ids == tuple(b"cd")


def test_a_trusted_answer_asks_for_nothing(doubting: Pair) -> None:
    decoder = decoder_of({"ab": ("9", 0.9)})
    events: list[Event] = []
    result, cloud = ask(Reasoner(["ab"]), doubting, decoder, events, budget=8, rounds=5)
    assert len(cloud.requests) == 1
    assert [(r.tokens, r.kept) for r in result.receipt.rounds] == [(2, True)]
    assert notes(events) == []


def test_one_round_shows_the_answer_as_it_comes(doubting: Pair) -> None:
    decoder = decoder_of({"ab": ("nine", 0.1)})
    events: list[Event] = []
    result, cloud = ask(Reasoner(["ab"]), doubting, decoder, events, budget=8)
    assert len(cloud.requests) == 1
    assert result.receipt.rounds == ()
    assert texts(events, AnswerText) == [*"nine"]


def test_what_most_rounds_agree_on_wins_over_the_surest(doubting: Pair) -> None:
    decoder = decoder_of({"a": ("8", 0.7), "b": ("9", 0.3), "c": ("9", 0.5), "d": ("9", 0.4)})
    result, cloud = ask(Reasoner(["a", "b", "c", "d"]), doubting, decoder, budget=8, rounds=5)
    # Three of five settle it.
    assert len(cloud.requests) == 4
    assert (result.receipt.answer, result.receipt.signal) == ("9", "c")
    assert [r.answer for r in result.receipt.rounds] == ["8", "9", "9", "9"]
    assert [r.kept for r in result.receipt.rounds] == [False, False, True, False]


def test_without_a_calibration_the_devices_own_checks_decide(pair: Pair) -> None:
    decoder = decoder_of({"3*3=8": ("8", 0.9), "3*3=9": ("9", 0.2)})
    result, cloud = ask(Reasoner(["3*3=8", "3*3=9"]), pair, decoder, budget=8, rounds=2)
    assert len(cloud.requests) == 2
    assert [r.answer for r in result.receipt.rounds] == ["8", "9"]
    # The first answer was surer, and its signal does not hold.
    assert result.receipt.answer == "9"
    assert not result.receipt.low_confidence
    assert result.receipt.doubts == ()


def test_a_mark_takes_the_place_of_the_pairs_confidence(pair: Pair) -> None:
    decoder = decoder_of({"ab": ("9", 0.6)})
    for at_least, marked in ((0.5, False), (0.7, True)):
        store(calibration(mark=threshold("least_probability", at_least)), pair.manifest)
        receipt = ask(Reasoner(["ab"]), pair, decoder, budget=8)[0].receipt
        assert receipt.low_confidence == marked
        assert receipt.confidence == pytest.approx(0.6)


def test_a_cloud_that_refuses_leaves_the_answer_there_is(doubting: Pair) -> None:
    decoder = decoder_of({"ab": ("8", 0.4)})
    events: list[Event] = []
    reasoner = Reasoner(["ab"], fails_after=1)
    result, _ = ask(reasoner, doubting, decoder, events, budget=8, rounds=3, timeout=20)
    assert (result.receipt.answer, result.receipt.outcome) == ("8", "complete")
    assert len(result.receipt.rounds) == 1
    assert notes(events)[-1].endswith("; the best answer so far counts")


def test_a_round_that_the_device_cannot_hold_leaves_the_answer_there_is(doubting: Pair) -> None:
    decoder = decoder_of({"ab": ("8", 0.4)})
    events: list[Event] = []
    reserve = decoder.reserve

    def fails(tokens: int) -> None:
        if any("doubtful" in each for each in notes(events)):
            raise ModelProblem("not enough memory")
        reserve(tokens)

    decoder.reserve = fails  # type: ignore[method-assign]
    result, _ = ask(Reasoner(["ab", "cd"]), doubting, decoder, events, budget=8, rounds=3)
    assert result.receipt.answer == "8"
    assert notes(events)[-1] == "not enough memory; the best answer so far counts"


def test_the_total_includes_a_round_that_failed(doubting: Pair) -> None:
    reasoner = Reasoner(["ab"], fails_after=1)

    def script(request: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        if reasoner.calls:
            time.sleep(0.5)
        yield from reasoner(request, context)

    ms = ask(script, doubting, decoder_of({"ab": ("8", 0.4)}), budget=8, rounds=2)[0].receipt.ms
    assert ms.first_answer is not None
    assert ms.total >= ms.first_answer + 500


def test_tokens_of_a_round_that_fails_are_counted(doubting: Pair) -> None:
    decoder = decoder_of({"3*": ("8", 0.4)})
    reasoner = Reasoner(["3*3=9"])

    def script(request: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        if request.HasField("signal_prefix"):
            yield tokens(*b"3")
            abort(context, grpc.StatusCode.INVALID_ARGUMENT, "no more for you")
        yield from reasoner(request, context)

    receipt = ask(script, doubting, decoder, budget=2, rounds=2)[0].receipt
    assert (receipt.answer, receipt.tokens.signal) == ("8", 3)
    assert [each.tokens for each in receipt.rounds] == [2]


def test_no_signal_is_longer_than_the_pair_takes(doubting: Pair) -> None:
    limit = doubting.manifest.limits.budget
    long = "x" * 100
    decoder = decoder_of({long[:20]: ("1", 0.2), long[:limit]: ("2", 0.3), "y": ("3", 0.9)})
    result, cloud = ask(Reasoner([long, "y"]), doubting, decoder, budget=20, rounds=3)
    assert [request.budget for request in cloud.requests] == [20, limit, 20]
    assert not cloud.requests[2].HasField("signal_prefix")
    assert result.receipt.answer == "3"
    assert result.receipt.tokens.signal == limit + 1


def test_an_early_end_that_is_doubtful_goes_on_to_the_end(pair: Pair) -> None:
    """Held together: what the stop rule trusts, the answer's own measure need not."""
    store(
        calibration(stop=threshold("first_margin", 0.0), more=threshold("least_probability", 0.8)),
        pair.manifest,
    )
    decoder = decoder_of({"3*": ("8", 0.6), "3*3=9": ("9", 0.95)})
    over: list[bool] = []

    def script(request: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
        held = bytes(request.signal_prefix.tokens.ids)
        if held:
            yield tokens(*b"3=9")
            yield done(3, prefix_tokens=2)
            return
        yield tokens(*b"3*")
        until = time.monotonic() + 60
        while context.is_active() and time.monotonic() < until:
            time.sleep(0.005)
        over.append(not context.is_active())

    receipt = ask(script, pair, decoder, budget=16, rounds=2)[0].receipt
    until = time.monotonic() + 60
    while not over and time.monotonic() < until:
        time.sleep(0.005)
    assert over == [True]
    assert (receipt.answer, receipt.signal, receipt.finish) == ("9", "3*3=9", "end")
    assert [r.tokens for r in receipt.rounds] == [2, 3]


def test_formulas_that_agree_are_what_a_computed_answer_stands_on(tmp_path: Path) -> None:
    data = manifest_data(**PRIVATE_PAIR)
    pair = Pair(tmp_path, Manifest.model_validate(data))
    question = "Ann has 3 bags of 4 apples. How many apples has Ann?"
    # The first formula uses one of two numbers, which is a doubt.
    decoder = decoder_of({"a": ("{=}.", 0.9), "a*b": ("{=}.", 0.9), "b*a": ("{=}.", 0.9)})
    reasoner = Reasoner(["a", "a*b", "b*a"])
    result, cloud = ask(reasoner, pair, decoder, question=question, budget=8, rounds=3)
    receipt = result.receipt
    assert len(cloud.requests) == 2
    assert receipt.value == "12"
    assert [r.answer for r in receipt.rounds] == ["3", "12"]
    assert {r.measure for r in receipt.rounds} == {"checks"}
    assert not receipt.low_confidence


def test_the_same_amount_agrees_however_it_is_written(tmp_path: Path) -> None:
    data = manifest_data(**PRIVATE_PAIR)
    pair = Pair(tmp_path, Manifest.model_validate(data))
    question = "A pen is 1.30. What is it for 4 and 9?"
    sentences = {"c": ("{=}.", 0.9), "a*b": ("${=}.", 0.9), "b*a": ("{=}.", 0.9)}
    reasoner = Reasoner(["a*b", "b*a", "c"])
    result, _ = ask(reasoner, pair, decoder_of(sentences), question=question, budget=8, rounds=3)
    assert [r.answer for r in result.receipt.rounds] == ["5.20", "5.2"]
    assert result.receipt.value == "5.2"


@pytest.mark.parametrize("rounds", [0, -1, 17])
def test_rounds_out_of_range(pair: Pair, rounds: int) -> None:
    with pytest.raises(UsageProblem, match="give 1 to 16"):
        ask(Reasoner(["a"]), pair, decoder_of({}), rounds=rounds)


def test_stop_out_of_range(pair: Pair) -> None:
    stop: Any = "sometimes"
    with pytest.raises(UsageProblem, match="one of auto, never"):
        ask(Reasoner(["a"]), pair, decoder_of({}), stop=stop)


candidates = st.lists(
    st.builds(
        lambda value, support: Candidate(Evidence(values=(value,)), support),
        st.sampled_from(["8", "9", None]),
        st.none() | st.floats(0, 1),
    ),
    min_size=1,
    max_size=6,
)


@given(candidates)
def test_no_value_has_more_votes_than_the_winner(found: list[Candidate]) -> None:
    values = [each.value for each in found]
    known = [value for value in values if value is not None]
    if known and len(values) > 1:
        winner = found[best(found)].value
        assert winner is not None
        assert values.count(winner) == max(map(known.count, known))


@given(candidates, st.integers(1, 16))
def test_what_is_settled_stays_so(found: list[Candidate], rounds: int) -> None:
    if len(found) < rounds and is_settled(found, rounds):
        winner = found[best(found)].value
        others = [Candidate(Evidence(values=("7",)), 1.0)] * (rounds - len(found))
        assert [*found, *others][best([*found, *others])].value == winner
