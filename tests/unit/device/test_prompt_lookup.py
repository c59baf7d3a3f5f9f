"""Guessing ahead never changes a greedy answer, and stops where it costs more than it saves."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_device.decoder.generation import Generation
from duet_device.decoder.prompt_lookup import PromptLookup
from tests.doubles.decoder import END, ScriptedDecoder

rules = st.dictionaries(
    st.tuples(st.integers(0, 3), st.integers(0, 3)), st.sampled_from([0, 1, 2, 3, END]), min_size=8
)


@given(
    rules=rules,
    prompt=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    limit=st.integers(0, 60),
)
@pytest.mark.slow
def test_prompt_lookup_equals_plain_greedy(
    rules: dict[tuple[int, int], int], prompt: list[int], limit: int
) -> None:
    def follows(ids: Sequence[int]) -> int:
        pair = (ids[-2] if len(ids) > 1 else 0, ids[-1])
        return rules.get(pair, (pair[0] + pair[1]) % 4)

    answers = []
    for lookup in (False, True):
        decoder = ScriptedDecoder(follows)
        decoder.reserve(len(prompt) + limit)
        decoder.evaluate(prompt)
        generation = Generation(decoder, ends=frozenset({END}), limit=limit, prompt_lookup=lookup)  # type: ignore[arg-type]
        answers.append((list(generation), generation.finish))
    assert answers[0] == answers[1]


@given(
    rules=rules,
    prompt=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    limit=st.integers(1, 60),
    odds=st.lists(st.floats(0.01, 1), min_size=7, max_size=7),
)
@pytest.mark.slow
def test_confidence_is_that_of_the_least_likely_token_with_and_without(
    rules: dict[tuple[int, int], int], prompt: list[int], limit: int, odds: list[float]
) -> None:
    def follows(ids: Sequence[int]) -> int:
        return rules.get((ids[-2] if len(ids) > 1 else 0, ids[-1]), sum(ids) % 4)

    def sure(ids: Sequence[int]) -> float:
        return odds[sum(ids) % len(odds)]

    for lookup in (False, True):
        decoder = ScriptedDecoder(follows, sure)
        decoder.reserve(len(prompt) + limit)
        decoder.evaluate(prompt)
        generation = Generation(
            decoder,  # type: ignore[arg-type]
            ends=frozenset({END}),
            limit=limit,
            prompt_lookup=lookup,
            judge=True,
        )
        told = list(generation)
        if generation.finish == "end":
            told.append(END)
        steps = [sure([*prompt, *told[:index]]) for index in range(len(told))]
        assert [each.probability for each in generation.trace] == pytest.approx(steps)
        assert generation.confidence == pytest.approx(min(steps))


def test_without_a_threshold_there_is_no_confidence() -> None:
    decoder = ScriptedDecoder(lambda _: END)
    decoder.reserve(8)
    decoder.evaluate([1])
    generation = Generation(decoder, ends=frozenset({END}), limit=4)  # type: ignore[arg-type]
    assert list(generation) == []
    assert generation.confidence is None
    assert generation.low_confidence(0.5) is None


@pytest.mark.parametrize(
    ("threshold", "low"), [(0.49, False), (0.5, False), (0.51, True), (None, None)]
)
def test_an_answer_is_marked_below_a_pairs_threshold(
    threshold: float | None, low: bool | None
) -> None:
    decoder = ScriptedDecoder(lambda _: END, sure=lambda _: 0.5)
    decoder.reserve(8)
    decoder.evaluate([1])
    generation = Generation(decoder, ends=frozenset({END}), limit=4, judge=True)  # type: ignore[arg-type]
    assert list(generation) == []
    assert generation.low_confidence(threshold) is low


def test_guess_is_what_followed_before() -> None:
    lookup = PromptLookup([1, 2, 3, 4, 5, 1, 2], 100)
    lookup.plain_step(10.0)
    assert lookup.guess(3) == [3, 4, 5]
    assert lookup.guess(1) == [3]


def test_no_guess_without_two_tokens_that_match() -> None:
    lookup = PromptLookup([1, 2, 3, 9, 2], 100)
    lookup.plain_step(10.0)
    assert lookup.guess(3) == []


def test_costly_guesses_pause_and_come_back() -> None:
    lookup = PromptLookup([1, 2, 3, 1, 2], 100)
    lookup.plain_step(10.0)
    assert lookup.guess(3)
    lookup.guess_step(ms=30.0, guessed=3, right=0)
    pauses = 0
    while not lookup.guess(3):
        pauses += 1
    assert pauses == 16
    lookup.guess_step(ms=12.0, guessed=3, right=3)
    assert lookup.guess(3)
    assert (lookup.guessed, lookup.accepted) == (6, 3)
