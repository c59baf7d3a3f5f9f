"""The capture of what leaves a device: its judge, its questions, its recorder, its ways."""

import random
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from duet_contract.manifest import Manifest
from duet_contract.quantities import Masked, mask
from duet_device.pairs.pair import Pair
from duet_tools.privacy import capture
from duet_tools.privacy.capture import OTHERS, PLAIN, Capture, Way
from duet_tools.privacy.judge import RELATIONS, numbers_in, relations_in
from duet_tools.privacy.questions import NOTATIONS, Twins, mixtures, with_other_numbers
from duet_tools.privacy.recorder import ConnectionReader
from duet_tools.privacy.table import privacy_table
from duet_tools.results.privacy import PrivacyResults
from tests.doubles.decoder import ScriptedDecoder, answering
from tests.doubles.manifests import PRIVATE_PAIR, manifest_data


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("Nina had [a] euros, half of them gone.", []),
        ("3kg, x², ½, Ⅳ, ①, 三, ٣", ["3", "²", "½", "Ⅳ", "①", "三", "٣", "IV"]),
        ("㍙ 🔟 🕒 ⚂ but 5㎡", ["㍙", "🔟", "🕒", "⚂", "5"]),
        ("Two, twenty-first, THIRTYTWO, tenfold, twenties, fourty",
         ["two", "twenty", "thirtytwo", "tenfold", "twenties", "fourty"]),
        ("Ｔｗｏ, t\u200bwo, f\u0131ve", ["two", "two", "five"]),
        ("World War II, MCMXC, I, V, MIX, CD", ["II", "MCMXC"]),
        ("someone often weighs a ton", []),
    ],
)  # fmt: skip
def test_the_judge_knows_numbers_when_it_sees_them(text: str, numbers: list[str]) -> None:
    assert numbers_in(text) == numbers


def test_masking_leaves_the_documented_words_and_no_others() -> None:
    for word in " ".join(RELATIONS.values()).split():
        assert mask(word).text == word
        assert not numbers_in(word)
        assert relations_in(word) == [word]


@pytest.mark.slow
def test_no_character_that_states_a_number_survives_masking() -> None:
    # Code points without a character state nothing: unassigned, of private use, surrogates.
    for char in map(chr, range(0x110000)):
        if unicodedata.category(char) not in ("Cn", "Co", "Cs"):
            assert not numbers_in(mask(f"x {char}").text), unicodedata.name(char, "")


@given(st.randoms(use_true_random=False), st.sampled_from(NOTATIONS))
def test_every_notation_is_a_number_that_masking_hides(rng: random.Random, notation) -> None:
    own, other = notation(rng), notation(rng)
    assert numbers_in(own)
    assert mask(f"pens {own} pens").text == mask(f"pens {other} pens").text
    assert not numbers_in(mask(own).text)


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**9))
def test_questions_with_other_numbers_are_masked_alike(seed: int) -> None:
    for twins in mixtures(random.Random(seed), 2):
        assert numbers_in(twins.question)
        assert mask(twins.question).text == mask(twins.other).text
        assert not numbers_in(mask(twins.question).text)


@given(st.integers(0, 10**9))
def test_numbers_of_a_given_question_are_replaced_in_place(seed: int) -> None:
    question = "Ann has 2 1/2 cups, twenty-five pens at $1,200.50 and Three 10-year-old dogs."
    other = with_other_numbers(question, random.Random(seed)).other
    assert mask(question).text == mask(other).text
    assert "0" in other
    assert with_other_numbers("no number", random.Random(seed)).other == "no number"


def test_what_is_no_http2_is_refused() -> None:
    with pytest.raises(capture.BenchError, match="does not begin as HTTP/2"):
        ConnectionReader().feed(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")


@pytest.fixture
def capturing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Capture:
    """A capture whose decoder writes nothing."""
    data = manifest_data(**PRIVATE_PAIR)
    data["reasoner"] |= {"context": 4000}
    data["decoder"] |= {
        "vocabulary": {"size": 300, "sha256": "b" * 64, "reserved": ["<|end|>"]},
        "context": 4000,
    }
    data["limits"] = {"question": 2000, "budget": 32, "answer": 64}
    pair = Pair(tmp_path, Manifest.model_validate(data))
    monkeypatch.setattr(
        capture, "load_decoder", lambda *_, **__: ScriptedDecoder(answering("", ""))
    )
    return Capture(pair)


SOME = (
    Twins("Ann has 3 pens and 40 cups of II.", "Ann has 7 pens and 92 cups of IX."),
    Twins("It costs $1.50 for two pens.", "It costs $9.20 for six pens."),
)


@pytest.mark.parametrize("way", [PLAIN, *OTHERS], ids=lambda way: way.name)
def test_no_number_leaves_in_any_way(capturing: Capture, way: Way) -> None:
    found = capturing.run(way, "some", SOME)
    assert (found.questions, found.with_numbers) == (4, 4)
    assert found.requests >= 4
    assert (found.numbers_sent, found.twins_told_apart) == (0, 0)
    again = way.refuses or way.cuts
    assert not again or found.requests == 8


def test_a_program_s_trace_is_sent_along_and_its_baggage_is_not(capturing: Capture) -> None:
    traced = next(way for way in OTHERS if "trace" in way.name)
    plain, found = (capturing.run(way, "some", SOME).bytes for way in (PLAIN, traced))
    # A header `traceparent` of 55 characters for each of four requests; how a time left is written
    # (`60S`, `59998m`) differs by a few.
    assert found - plain == pytest.approx(4 * (len("traceparent") + 55), abs=4 * 8)


def test_the_table_says_what_else_distinguishes_questions(capturing: Capture) -> None:
    row = capturing.run(PLAIN, "some", SOME).model_copy(update={"twins_asked_differently": 1})
    results = PrivacyResults(
        pair="p@1", date="2026-01-02", commit=None, versions={}, seed=0, captured=(row,), written=()
    )
    assert "| 0 of 2, 1 by the count of requests |" in privacy_table(results)


def test_a_leak_is_found(capturing: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    from duet_device import question

    def leaky(text: str, kept: object) -> Masked:
        return replace(mask(text), text=mask(text).text + (" 3" if "3" in text else ""))

    monkeypatch.setattr(question, "mask", leaky)
    found = capturing.run(PLAIN, "some", SOME)
    assert (found.numbers_sent, found.twins_told_apart) == (1, 1)


def test_baggage_and_trailers_would_be_found(
    capturing: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from duet_device import link

    metadata = iter(("baggage", f"pens={number}") for number in "3792")
    monkeypatch.setattr(link, "trace_metadata", lambda: (next(metadata),))
    assert capturing.run(replace(PLAIN, in_flight=1), "some", SOME).twins_told_apart == 2
