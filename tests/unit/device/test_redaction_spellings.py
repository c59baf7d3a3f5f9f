"""Redaction of what is written in several ways: nothing of it leaves, all of it comes back."""

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from duet_device.privacy.folding import FoldedSpelling, fold
from duet_device.privacy.found import Finder, Found
from duet_device.privacy.identifiers import load_finders
from duet_device.privacy.names import find_names
from duet_device.privacy.redaction import Redaction, redact
from duet_device.privacy.words import Word, find_words


@pytest.fixture(scope="module")
def finders() -> list[Finder]:
    return [find_words([Word("zoë")]), *load_finders(lambda _: None)]


WRITTEN: dict[str, Callable[[str], str]] = {
    "NFC": lambda text: unicodedata.normalize("NFC", text),
    "NFD": lambda text: unicodedata.normalize("NFD", text),
    "NFKD": lambda text: unicodedata.normalize("NFKD", text),
    "capitals": str.upper,
    "small": str.lower,
    "no-break": lambda text: text.replace(" ", "\u00a0"),
    "invisible": lambda text: text.replace("o", "o\u200b"),
    "fullwidth": lambda text: text.replace("r", "\uff52"),
    "typographic": lambda text: text.replace("-", "\u2011").replace("'", "\u2019"),
}


@pytest.mark.parametrize("way", WRITTEN)
@pytest.mark.parametrize("entry", ["Zoë", "Projekt Größe", "O'Connor-Núñez", "한국어 word"])
def test_one_s_own_words_in_any_spelling(entry: str, way: str) -> None:
    written = WRITTEN[way](entry)
    for dictionary in (entry, unicodedata.normalize("NFD", entry)):
        question = f"Is {written} there, or {entry}ism?"
        redaction = redact(question, [find_words([Word(dictionary)])])
        assert redaction.text == f"Is [WORD_1] there, or {entry}ism?"
        # What the user wrote comes back, not what the dictionary says.
        assert redaction.restore(redaction.text) == question


def test_an_entity_comes_back_in_its_fullest_form() -> None:
    question = "Ms. Lopez, LOPEZ or Maria Lopez?"
    redaction = redact(question, [find_names])
    assert redaction.text == "Ms. [NAME_1], [NAME_1] or [NAME_1]?"
    assert redaction.restore("Dear [NAME_1],") == "Dear Maria Lopez,"
    assert redaction.apply("maria\u00a0lopez, Lopez, Lopezia") == "[NAME_1], [NAME_1], Lopezia"


def test_what_differs_in_case_alone_differs(finders: list[Finder]) -> None:
    question = "Compare https://example.org/A and https://example.org/a"
    redaction = redact(question, finders)
    assert redaction.text == "Compare [URL_1] and [URL_2]"
    assert redaction.restore(redaction.text) == question


@given(st.text())
def test_folded_text_knows_where_it_is_from(text: str) -> None:
    folded = FoldedSpelling(text)
    assert all(fold(text[slice(*folded.span(at, at + 1))]) for at in range(len(folded.text)))
    if folded.text:
        start, end = folded.span(0, len(folded.text))
        assert fold(text[start:end]) == folded.text
        assert fold(text[:start]) == fold(text[end:]) == ""


SECRETS = {
    "4111 1111 1111 1111": "1111",
    "DE89 3704 0044 0532 0130 00": "0532",
    "otto@acme.internal": "otto",
    "192.168.17.4": "192",
    "https://otto:geheim@host.example.org/x": "geheim",  # pragma: allowlist secret
    "http://intranet/kessler/9": "intranet",
    "00:1B:44:11:3A:B7": "3A",
    "Otto Kessler": "Kessler",
    "J. R. Tolkien": "Tolkien",
    "+49 30 901820": "901820",
    "C01X00T47": "C01",
    "Zoë": "Zoë",
    "Unter den Linden 77": "Linden",
    "/home/otto/tax": "tax",
}
FILLING = st.sampled_from(["Is ", " or ", "? ", " (", ") ", "\n", " [NAME_1] ", " 7 "])
SPELLINGS = st.sampled_from(["NFC", "NFD", "no-break", "typographic"])


PARTS = st.lists(st.tuples(FILLING, st.sampled_from(sorted(SECRETS)), SPELLINGS), max_size=8)


@given(parts=PARTS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@pytest.mark.slow
def test_no_secret_stays_and_every_one_comes_back(
    parts: list[tuple[str, str, str]], finders: list[Finder]
) -> None:
    question = "".join(filling + WRITTEN[way](secret) + "; " for filling, secret, way in parts)
    redaction = redact(question, finders)
    left = redaction.text
    for placeholder in redaction.originals:
        left = left.replace(placeholder, "")
    for _, secret, _ in parts:
        assert SECRETS[secret] not in fold(left)
    restored = redaction.restore(redaction.text)
    # Names and words come back in one spelling, all else as it was.
    assert fold(restored) == fold(question)
    if len({way for _, _, way in parts}) <= 1:
        assert restored == question


ENTITIES = st.sampled_from([None, "a", "b"])


@given(
    st.text("aAe\u0301é [N]_1\u00a0", max_size=20),
    st.lists(st.tuples(st.integers(0, 19), st.integers(1, 5), ENTITIES)),
    st.text("aAe\u0301é ", max_size=20),
)
def test_each_entity_has_one_placeholder_and_no_value_stays(
    text: str, spans: list[tuple[int, int, str | None]], other: str
) -> None:
    found = [
        Found(start, min(start + size, len(text)), "N", entity)
        for start, size, entity in spans
        if start < len(text)
    ]
    redaction = Redaction(text, found, taken=other)
    assert not any(placeholder in text + other for placeholder in redaction.originals)
    restored = redaction.restore(redaction.text)
    if not any(each.entity for each in found):
        assert restored == text
    # What came back is redacted to the same question.
    for placeholder, value in redaction.originals.items():
        assert placeholder in redaction.text
        assert value in text
        assert value in restored
    redaction.apply(other)
