"""Redaction: placeholders before the question leaves, values again in the answer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_device.errors import UsageProblem
from duet_device.privacy.forms import find_numbers
from duet_device.privacy.found import Finder, Found
from duet_device.privacy.identifiers import load_finders
from duet_device.privacy.names import find_names
from duet_device.privacy.redaction import Redaction, redact
from duet_device.privacy.words import Word, find_words, read_words


@pytest.fixture(scope="module")
def identifiers() -> list[Finder]:
    return load_finders(lambda _: None)


def test_numbers_on_wish(identifiers: list[Finder]) -> None:
    sent = redact("I earn 4,500.50 of 9000, not 9000.5", [*identifiers, find_numbers]).text
    assert sent == "I earn [NUMBER_1] of [NUMBER_2], not [NUMBER_3]"


def test_numbers_within_words_are_numbers_too() -> None:
    question = "EUR500, GBP12,500 in Q3, 1e6 of A12kg, v2_7 and [PAY_95000]?"
    redaction = redact(question, [find_numbers])
    assert redaction.text == (
        "EUR[NUMBER_1], GBP[NUMBER_2] in Q[NUMBER_3], [NUMBER_4]e[NUMBER_5] of A[NUMBER_6]kg, "
        "v[NUMBER_7]_[NUMBER_8] and [PAY_[NUMBER_9]]?"
    )
    assert redaction.restore(redaction.text) == question
    # The context speaks of the same numbers in the same way, and of no parts of others.
    assert redaction.apply("in Q3 USD500, not 5000") == "in Q[NUMBER_3] USD[NUMBER_1], not 5000"


@given(*[st.text(st.sampled_from("aZé_ [].,'-19\u0663\n"), max_size=30)] * 2)
def test_no_digit_stays_and_every_number_comes_back(question: str, other: str) -> None:
    redaction = redact(question, [find_numbers], taken=other)
    left = redaction.text
    for placeholder in redaction.originals:
        left = left.replace(placeholder, "")
    assert not any(each.isdecimal() for each in left)
    assert redaction.restore(redaction.text) == question
    assert redaction.restore(redaction.apply(other)) == other


def test_the_absence_of_a_model_is_said_once() -> None:
    notes: list[str] = []
    finders = load_finders(notes.append)
    for _ in range(2):
        redact("Maria Lopez", finders)
    assert len(notes) == 1
    assert "no spaCy model is installed" in notes[0]


@pytest.mark.slow
def test_names_come_from_a_model_where_one_is_installed(tmp_path: Path) -> None:
    import spacy

    model = spacy.blank("en")
    ruler = model.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "PERSON", "pattern": "quentin"}])
    package = tmp_path / "en_core_web_sm"
    package.mkdir()
    model.to_disk(package / "en_core_web_sm-3.8.0")
    (package / "__init__.py").write_text(
        "from pathlib import Path\n"
        "from spacy.util import load_model_from_path\n"
        "def load(**overrides):\n"
        "    place = Path(__file__).parent / 'en_core_web_sm-3.8.0'\n"
        "    return load_model_from_path(place, exclude=overrides['exclude'])\n"
    )
    metadata = tmp_path / "en_core_web_sm-3.8.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: en_core_web_sm\nVersion: 3.8.0\n"
    )
    # Slow packages that spaCy would import if it could.
    slow = tmp_path / "slow_components.py"
    slow.write_text("raise SystemExit('imported')\n")
    other = tmp_path / "slow_components-1.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: slow_components\nVersion: 1\n")
    (other / "entry_points.txt").write_text("[spacy_factories]\nslow = slow_components:make\n")
    (tmp_path / "torch.py").write_text("raise SystemExit('imported')\n")
    program = """
from duet_device.privacy.identifiers import load_finders
from duet_device.privacy.redaction import redact
notes = []
finders = load_finders(notes.append)
print(notes, redact("does quentin know Ann Bo?", finders).text)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.stdout == "[] does [NAME_1] know Ann Bo?\n", ran.stderr


@pytest.mark.parametrize("package", ["phonenumbers", "tldextract"])
def test_without_the_extra_it_says_what_to_install(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageProblem, match=r"pip install phonenumbers tldextract"):
        load_finders(lambda _: None)


def test_nothing_is_looked_up_to_redact(offline: list[object]) -> None:
    finders = load_finders(lambda _: None)
    sent = redact("a@example.org, https://example.co.uk/x", finders).text
    assert sent == "[EMAIL_1], [URL_1]"
    assert offline == []


def test_one_s_own_words_win_and_stand_alone() -> None:
    words = [Word("Falcon", "PROJECT"), Word("project falcon", "PROJECT"), Word("é"), Word("C++")]
    text = "Project Falcon beats falcon, not falconry; é and C++."
    redaction = redact(text, [find_words(words), find_names])
    assert redaction.text == "[PROJECT_1] beats [PROJECT_2], not falconry; [WORD_1] and [WORD_2]."
    assert redaction.restore(redaction.text) == text


def test_overlapping_finds_leave_nothing_over() -> None:
    text = "mail maria@x.org"
    found = [Found(5, 10, "WORD"), Found(5, 16, "EMAIL"), Found(8, 16, "URL")]
    assert Redaction(text, found).text == "mail [EMAIL_1]"
    assert Redaction("abcdef", [Found(0, 3, "A"), Found(2, 6, "B")]).text == "[B_1]"


def test_placeholders_never_collide_with_text_already_there() -> None:
    redaction = redact("[NAME_1] met Ann Bo, see [NAME_3]", [find_names], taken="[NAME_2]")
    assert redaction.text == "[NAME_1] met [NAME_4], see [NAME_3]"
    assert redaction.restore("[NAME_1] and [NAME_4]") == "[NAME_1] and Ann Bo"


def test_the_context_gets_the_same_placeholders() -> None:
    redaction = redact("Does Ann Bo know Cy Dee?", [find_names])
    assert redaction.apply("Ann Bo, Annie Bode, Cy Dee") == "[NAME_1], Annie Bode, [NAME_2]"


def test_nothing_found_changes_nothing() -> None:
    redaction = Redaction("why?", [])
    assert redaction.text == redaction.apply("why?") == redaction.restore("why?") == "why?"


TEXT = st.text(st.sampled_from("ab [N]_12\né🙂"), max_size=30)


@given(
    TEXT,
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 6), st.sampled_from(["N", "NAME"]))),
    TEXT,
    st.data(),
)
def test_what_was_replaced_is_restored_however_the_answer_is_cut(
    text: str, spans: list[tuple[int, int, str]], other: str, data: st.DataObject
) -> None:
    found = [Found(a, min(a + n, len(text)), label) for a, n, label in spans if a < len(text)]
    redaction = Redaction(text, found, taken=other)
    assert redaction.restore(redaction.text) == text
    assert redaction.restore(redaction.apply(other)) == other
    for each in found:
        value = text[each.start : each.end]
        if value.strip() and redaction.text == value:
            raise AssertionError("the whole question was one value, and left as it is")
    answer = f"so {redaction.text}{other}["
    expected = redaction.restore(answer)
    restorer = redaction.restorer()
    told = ""
    while answer:
        size = data.draw(st.integers(1, 5))
        told += restorer.feed(answer[:size])
        answer = answer[size:]
        assert expected.startswith(told)
    assert told + restorer.finish() == expected


def test_no_more_is_held_back_than_may_be_a_placeholder() -> None:
    restorer = Redaction("Ann Bo", [Found(0, 6, "NAME")]).restorer()
    assert restorer.feed("see [") == "see "
    assert restorer.feed("NA") == ""
    assert restorer.feed("ÏVE] [NAME_1") == "[NAÏVE] "
    assert restorer.feed("]!") == "Ann Bo!"
    assert restorer.feed("[NAME_") == ""
    assert restorer.finish() == "[NAME_"


def test_dictionary_file(tmp_path: Path) -> None:
    path = tmp_path / "words"
    path.write_text("\ufeff# mine\n\nAcme Corp\nFalcon = project\na = b = CODE\n", "utf-8")
    assert read_words(path) == [
        Word("Acme Corp", "WORD"),
        Word("Falcon", "PROJECT"),
        Word("a = b", "CODE"),
    ]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "holds no words"),
        (b"# nothing\n", "holds no words"),
        (b"ok\n = NAME\n", "line 2"),
        (b"word = a label\n", "line 1"),
        (b"word = \n", "line 1"),
        (b"word = 1ST\n", "line 1"),
        (b"\xff\n", "not UTF-8"),
        (b"x" * ((1 << 20) + 1), "more than 1048576 bytes"),
    ],
)
def test_bad_dictionary(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "words"
    path.write_bytes(data)
    with pytest.raises(UsageProblem, match=said):
        read_words(path)
