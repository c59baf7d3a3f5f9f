"""The bookkeeping of a signal that comes in several calls: nothing is lost, doubled, or believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from duet_device.errors import BrokenSignal
from duet_device.held_signal import HeldSignal

FIRST = ReasonRequest(
    question="why?",
    budget=200,
    encodings=[SIGNAL_ENCODING_TOKEN_IDS, SIGNAL_ENCODING_TEXT],
    request_id="first",
)


def ids_chunk(ids: list[int]) -> SignalChunk:
    return SignalChunk(tokens=TokenIds(ids=ids))


calls_of_ids = st.lists(
    st.lists(st.lists(st.integers(0, 299), min_size=1, max_size=9), max_size=4), max_size=5
)


@given(calls=calls_of_ids, more=st.integers(-3, 3))
def test_calls_of_token_ids_join_to_one_signal(calls: list[list[list[int]]], more: int) -> None:
    held = HeldSignal(200, 300)
    whole: list[int] = []
    for call in calls:
        held.begin()
        request = held.request(FIRST)
        assert list(request.signal_prefix.tokens.ids) == whole
        assert request.question == FIRST.question
        assert request.request_id != "first"
        assert request.HasField("signal_prefix") == bool(whole)
        assert list(request.encodings) == (
            [SIGNAL_ENCODING_TOKEN_IDS] if whole else list(FIRST.encodings)
        )
        before = len(whole)
        for ids in call:
            held.add(ids_chunk(ids))
            whole += ids
        arrived = len(whole) - before
        for counted, prefix in ((arrived + more, before), (arrived, before + more)):
            if counted < 0 or prefix < 0:
                continue
            end = SignalEnd(
                finish_reason=FINISH_REASON_END_OF_REASONING,
                encoding=SIGNAL_ENCODING_TOKEN_IDS,
                signal_tokens=counted,
                prefix_tokens=prefix,
            )
            if more == 0:
                held.check_end(end)
            else:
                with pytest.raises(BrokenSignal):
                    held.check_end(end)
    assert list(held.prefix().tokens.ids) == whole
    assert held.is_empty == (not whole)


@given(calls=st.lists(st.lists(st.text(min_size=1, max_size=5), max_size=4), max_size=5))
def test_calls_of_text_join_to_one_signal(calls: list[list[str]]) -> None:
    held = HeldSignal(200)
    whole = ""
    for call in calls:
        held.begin()
        request = held.request(FIRST)
        assert request.signal_prefix.text == whole
        for text in call:
            held.add(SignalChunk(text=text))
        held.check_end(
            SignalEnd(
                finish_reason=FINISH_REASON_BUDGET,
                encoding=SIGNAL_ENCODING_TEXT,
                signal_tokens=len(call),
                prefix_tokens=int(bool(whole)),
            )
        )
        whole += "".join(call)
    assert held.prefix().text == whole


def test_a_whole_signal_by_its_budget() -> None:
    held = HeldSignal(3)
    held.add(ids_chunk([1, 2]))
    held.begin()
    held.add(ids_chunk([3]))
    assert held.is_full
    end = held.end()
    held.check_end(end)
    assert (end.prefix_tokens, end.signal_tokens) == (2, 1)
    with pytest.raises(BrokenSignal, match="more than 3 signal tokens"):
        held.add(ids_chunk([4]))
    assert list(held.prefix().tokens.ids) == [1, 2, 3]


def test_what_is_dropped_does_not_come_back() -> None:
    held = HeldSignal(9)
    assert not held.drop()
    held.add(ids_chunk([1]))
    assert held.drop()
    assert held.is_empty
    assert not held.request(FIRST).HasField("signal_prefix")
    held.add(SignalChunk(text="so"))
    assert held.request(FIRST).signal_prefix.text == "so"


@given(
    start=st.none() | st.text(min_size=1, max_size=3),
    first=st.lists(st.text(min_size=1, max_size=3), max_size=3),
    broken=st.lists(st.text(min_size=1, max_size=3), max_size=3),
    as_text=st.booleans(),
)
def test_what_a_call_brought_is_dropped_and_no_more(
    start: str | None, first: list[str], broken: list[str], as_text: bool
) -> None:
    def chunk(text: str) -> SignalChunk:
        return SignalChunk(text=text) if as_text else ids_chunk(list(map(ord, text)))

    held = HeldSignal(99, start=None if start is None else chunk(start))
    for text in first:
        held.add(chunk(text))
    before = held.request(FIRST)
    held.begin()
    for text in broken:
        held.add(chunk(text))
    assert held.drop() == bool(broken)
    again = held.request(FIRST)
    assert again.signal_prefix == before.signal_prefix
    assert list(again.encodings) == list(before.encodings)
    assert held.is_empty == (not first)
    if first:
        assert held.after_start() == chunk("".join(first))


@given(seed=st.integers(0, 2**63 - 1), lengths=st.sets(st.integers(1, 99), min_size=2, max_size=5))
def test_each_continuation_draws_again(seed: int, lengths: set[int]) -> None:
    seeds = {seed}
    for length in lengths:
        held = HeldSignal(200)
        first = ReasonRequest(question="why?", seed=seed)
        assert held.request(first).seed == seed
        held.add(ids_chunk([1] * length))
        again = held.request(first)
        assert again.seed == held.request(first).seed < 2**63
        seeds.add(again.seed)
    assert len(seeds) == len(lengths) + 1


@pytest.mark.parametrize("prefix", [0, 5])
def test_a_text_whose_start_was_not_read(prefix: int) -> None:
    held = HeldSignal(9)
    end = SignalEnd(
        finish_reason=FINISH_REASON_BUDGET,
        encoding=SIGNAL_ENCODING_TEXT,
        signal_tokens=1,
        prefix_tokens=prefix,
    )
    held.add(SignalChunk(text="so"))
    if not prefix:
        held.begin()
    held.add(SignalChunk(text=" it"))
    with pytest.raises(BrokenSignal, match="cannot continue one"):
        held.check_end(end)


@pytest.mark.parametrize("name", ["least_log_probability", "mean_log_probability"])
@pytest.mark.parametrize("value", [0.5, float("inf"), float("-inf"), float("nan")])
def test_what_is_no_logarithm_of_a_probability_is_refused(name: str, value: float) -> None:
    held = HeldSignal(9)
    held.add(SignalChunk(text="so"))
    end = SignalEnd(
        finish_reason=FINISH_REASON_BUDGET,
        encoding=SIGNAL_ENCODING_TEXT,
        signal_tokens=1,
        **{name: value},  # type: ignore[arg-type]
    )
    with pytest.raises(BrokenSignal, match="not logarithms"):
        held.check_end(end)
