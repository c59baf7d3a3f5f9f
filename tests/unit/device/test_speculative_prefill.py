"""Whatever was guessed, the sequence ends up as what arrived."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_device.decoder.speculative_prefill import SpeculativePrefill
from tests.doubles.decoder import END, ScriptedDecoder

PROMPT = list(b"S:")


def _decoder(believed):
    """A decoder that believes the signal to be `believed`."""

    def follows(ids):
        position = len(ids) - len(PROMPT)
        return believed[position] if position < len(believed) else END

    decoder = ScriptedDecoder(follows)
    decoder.reserve(200)
    decoder.evaluate(PROMPT)
    return decoder


small = st.lists(st.integers(97, 99), max_size=30)


@given(
    believed=small,
    signal=small,
    guesses=st.lists(st.integers(0, 8), max_size=10),
    cuts=st.lists(st.integers(0, 30), max_size=6),
    suffix=st.lists(st.integers(97, 99), max_size=3),
)
def test_the_sequence_is_what_arrived(believed, signal, guesses, cuts, suffix):
    decoder = _decoder(believed)
    ahead = SpeculativePrefill(decoder)
    edges = sorted({0, len(signal), *(min(cut, len(signal)) for cut in cuts)})
    chunks = [signal[a:b] for a, b in pairwise(edges)]
    for number, ids in enumerate([*chunks, suffix]):
        for _ in range(guesses[number] if number < len(guesses) else 0):
            ahead.guess()
        last = number == len(chunks)
        rest = ahead.arrive(ids, last=last)
        assert not (last and ids and not rest), "the odds behind the end must be evaluated"
        if rest:
            ahead.evaluate(rest, want_next=True)
    assert decoder.ids == PROMPT + signal + suffix


def test_right_guesses_are_not_evaluated_again():
    decoder = _decoder(list(b"hello"))
    ahead = SpeculativePrefill(decoder)
    while ahead.guess():
        pass
    assert bytes(decoder.ids) == b"S:hello"
    before = len(decoder.evaluations)
    assert ahead.arrive(list(b"hel")) == []
    assert ahead.arrive(list(b"p!")) == list(b"p!")
    assert bytes(decoder.ids) == b"S:hel"
    assert len(decoder.evaluations) == before


@pytest.mark.parametrize("most", [0, 3])
def test_no_more_guesses_than_asked_for(most):
    decoder = _decoder(list(b"a" * 50))
    ahead = SpeculativePrefill(decoder, most)
    assert sum(ahead.guess() for _ in range(20)) == most
    assert len(decoder.ids) == len(PROMPT) + most


def test_no_guess_without_odds():
    decoder = _decoder(list(b"aaaa"))
    ahead = SpeculativePrefill(decoder)
    ahead.evaluate(ahead.arrive(list(b"xy")), want_next=False)
    assert not ahead.guess()
