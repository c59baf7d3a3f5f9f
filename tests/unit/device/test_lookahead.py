"""Whatever was looked at ahead, the sequence ends up as what arrived, and the answer as without."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_device.decoder.generation import Generation
from duet_device.decoder.lookahead import Lookahead
from tests.doubles.decoder import END, ScriptedDecoder

PROMPT = list(b"S:")
ENDS = frozenset({END})


def decoder_of(follows: Callable[[Sequence[int]], int]) -> ScriptedDecoder:
    decoder = ScriptedDecoder(follows)
    decoder.reserve(400)
    decoder.evaluate(PROMPT)
    return decoder


def changing(every: int) -> Callable[[Sequence[int]], int]:
    """Answers of a few tokens, which change with the signal where `every` divides a sum."""

    def follows(ids: Sequence[int]) -> int:
        if sum(ids) % every == 0:
            return END
        return 97 + sum(ids) // every % 3

    return follows


small = st.lists(st.integers(97, 99), max_size=30)


@given(
    signal=small,
    steps=st.lists(st.integers(0, 8), max_size=10),
    cuts=st.lists(st.integers(0, 30), max_size=6),
    held=st.lists(st.integers(0, 3), max_size=8),
    suffix=st.lists(st.integers(97, 99), max_size=3),
    most=st.integers(1, 9),
    every=st.integers(2, 9),
    lookup=st.booleans(),
)
def test_sequence_and_answer_are_those_without_looking(
    signal: list[int],
    steps: list[int],
    cuts: list[int],
    held: list[int],
    suffix: list[int],
    most: int,
    every: int,
    lookup: bool,
) -> None:
    follows = changing(every)
    decoder = decoder_of(follows)
    ahead = Lookahead(decoder, suffix, ENDS, most)  # type: ignore[arg-type]
    edges = sorted({0, len(signal), *(min(cut, len(signal)) for cut in cuts)})
    chunks = [signal[a:b] for a, b in pairwise(edges)]
    waiting: list[int] = []
    for number, chunk in enumerate([*chunks, None]):
        last = chunk is None
        ids = waiting + (suffix if chunk is None else chunk)
        waiting = []
        if chunk and number < len(held):
            # Of a text, the last word is held back.
            keep = len(ids) - min(held[number], len(ids))
            ids, waiting = ids[:keep], ids[keep:]
        rest = ahead.arrive(ids, last=last)
        if rest:
            ahead.evaluate(rest, want_next=last or not suffix)
        if not last:
            for _ in range(steps[number] if number < len(steps) else 0):
                ahead.step(waiting)
            assert len(ahead.draft) <= most
    prompt = PROMPT + signal + suffix
    assert decoder.ids[: len(prompt)] == prompt
    assert decoder.ids[len(prompt) :] == [token for token, _ in ahead.draft[:-1]]

    def answer(decoder: ScriptedDecoder, **drafted: object) -> tuple[list[int], list[object]]:
        generation = Generation(
            decoder,  # type: ignore[arg-type]
            ends=ENDS,
            limit=12,
            judge=True,
            prompt_lookup=lookup,
            **drafted,  # type: ignore[arg-type]
        )
        return list(generation), list(generation.trace)

    plain = decoder_of(follows)
    plain.evaluate(signal + suffix)
    assert answer(decoder, drafted=ahead.draft) == answer(plain)


def test_an_end_without_new_tokens_costs_nothing() -> None:
    decoder = decoder_of(lambda ids: ord("9") if ids[-1] == ord(":") else END)
    ahead = Lookahead(decoder, list(b" A:"), ENDS)  # type: ignore[arg-type]
    ahead.evaluate(ahead.arrive(list(b"3*3=9")), want_next=False)
    assert ahead.step()
    assert not ahead.step()
    before = len(decoder.evaluations)
    assert ahead.arrive(list(b" A:"), last=True) == []
    assert [token for token, _ in ahead.draft] == [ord("9")]
    assert len(decoder.evaluations) == before


def test_a_draft_that_stays_costs_one_step_a_chunk() -> None:
    answer = {58: ord("4"), ord("4"): ord("2"), ord("2"): END}
    decoder = decoder_of(lambda ids: answer.get(ids[-1], ord("?")))
    ahead = Lookahead(decoder, list(b" A:"), ENDS, 8)  # type: ignore[arg-type]
    costs = []
    for _ in range(3):
        ahead.evaluate(ahead.arrive(list(b"xy")), want_next=False)
        before = len(decoder.evaluations)
        while ahead.step():
            pass
        costs.append(len(decoder.evaluations) - before)
        assert [token for token, _ in ahead.draft] == [*b"42", END]
    assert costs == [3, 1, 1]


@given(every=st.integers(2, 9), signal=small, steps=st.integers(0, 9), most=st.integers(1, 8))
def test_sampling_starts_behind_the_prompt(
    every: int, signal: list[int], steps: int, most: int
) -> None:
    decoder = decoder_of(changing(every))
    ahead = Lookahead(decoder, list(b" A:"), ENDS, most)  # type: ignore[arg-type]
    for token in signal:
        ahead.evaluate(ahead.arrive([token]), want_next=False)
        for _ in range(steps):
            ahead.step()
    if rest := ahead.arrive(list(b" A:"), last=True):
        ahead.evaluate(rest, want_next=True)
    ahead.drop()
    assert decoder.ids == [*PROMPT, *signal, *b" A:"]
    decoder.most_likely()


def test_a_long_end_of_the_prompt_is_looked_at_in_batches() -> None:
    decoder = decoder_of(lambda _: 97)
    ahead = Lookahead(decoder, [98] * 80, ENDS, 8)  # type: ignore[arg-type]
    for _ in range(2):
        ahead.evaluate(ahead.arrive(list(b"xy")), want_next=False)
        while ahead.step():
            pass
    assert decoder.ids == [*PROMPT, *b"xyxy", *[98] * 80, *[97] * 7]
    assert max(size for _, size in decoder.evaluations[1:]) <= 80


@pytest.mark.parametrize("rolls_back", [True, False])
def test_a_recurrent_state_is_not_looked_behind(rolls_back: bool) -> None:
    decoder = decoder_of(lambda _: 97)
    decoder.rolls_back = rolls_back
    ahead = Lookahead(decoder, list(b" A:"), ENDS, 8)  # type: ignore[arg-type]
    ahead.evaluate(ahead.arrive(list(b"xy")), want_next=False)
    assert ahead.step() is rolls_back


def test_a_text_without_spaces_is_not_evaluated_again_and_again() -> None:
    decoder = decoder_of(lambda _: 97)
    ahead = Lookahead(decoder, list(b" A:"), ENDS)  # type: ignore[arg-type]
    assert not ahead.step([97] * 33)
