"""Redaction takes little time, whatever the text, and stops between its steps."""

import subprocess
import sys

import pytest

from duet_device.errors import DeadlineExceeded
from duet_device.privacy.forms import find_numbers
from duet_device.privacy.found import Finder
from duet_device.privacy.identifiers import load_finders
from duet_device.privacy.redaction import redact
from duet_device.privacy.words import Word, find_words
from tests.doubles.growth import assert_linear, assert_no_slower


@pytest.fixture(scope="module")
def finders() -> list[Finder]:
    finders = [find_words([Word("Acme Corp")]), *load_finders(lambda _: None)]
    redact("+49 30 901820 at example.zip", finders)  # imports what is imported once
    return finders


REPEATED = [
    "a.", "A.", "a", "1", "1 ", "1.", "1-", "1/", "12/", "123/", "030/9 ", "+1 ", "(1) ", "a@",
    "@a", "a@a.", "a:", "::", "f:", "A-", "A ", "DE89 ", "4111 ", "://", "http://a ", "-", "--A",
    "1--", " ", "Aa, ", "OTTO ", "1 A St ", "\u0301", "\u200b", "192.168.", "a (at) ", "https://a)",
    "[NAME_1]",
]  # fmt: skip


@pytest.mark.parametrize("pattern", REPEATED)
def test_time_is_linear_in_the_text(pattern: str, finders: list[Finder]) -> None:
    assert_linear(lambda text: redact(text, finders), pattern)


@pytest.mark.parametrize(("start", "pattern"), [("https://a", ")"), ("a@", "-"), ("1", "-")])
def test_a_long_run_behind_something_takes_linear_time(
    start: str, pattern: str, finders: list[Finder]
) -> None:
    assert_linear(lambda text: redact(start + text, finders), pattern)


def test_a_long_dictionary_takes_no_longer() -> None:
    long, short = (
        find_words([Word(f"The word {number}") for number in range(most)]) for most in (50_000, 50)
    )
    text = "The word 7 and the WORD 49999. " * 100
    assert len(list(long(text))) == 200
    assert_no_slower(lambda: list(long(text)), lambda: list(short(text)))


MANY = {
    "numbers": "Is {} dear, ",
    "numbers of one start": "Is 7 {} dear, ",
    "addresses": "Mail a.user{}@example.org, ",
    "names": "Ask Dr. Maria {}, ",
    "hosts": "See intranet.example.org/{}, ",
}


@pytest.mark.parametrize("kind", MANY)
def test_time_is_linear_in_the_number_of_values(kind: str, finders: list[Finder]) -> None:
    def text(values: int) -> str:
        names = ("".join(chr(97 + n // 26**p % 26) for p in range(4)) for n in range(values))
        given = (name.capitalize() for name in names) if kind == "names" else range(values)
        return "".join(map(MANY[kind].format, given))

    def work(question: str) -> None:
        redaction = redact(question, [*finders, find_numbers])
        assert redaction.apply(question).count("[") >= redaction.text.count("[") > 0
        restorer = redaction.restorer()
        for at in range(0, len(redaction.text), 3):
            restorer.feed(redaction.text[at : at + 3])

    large, small = text(1600), text(200)
    assert_no_slower(lambda: work(large), lambda: work(small), 8)


def test_finding_stops_between_steps(finders: list[Finder]) -> None:
    steps: list[int] = []

    def check() -> None:
        steps.append(1)
        if len(steps) == 3:
            raise DeadlineExceeded("stop")

    with pytest.raises(DeadlineExceeded):
        redact("why?", finders, check=check)
    redact("why?", finders, check=lambda: steps.append(1))
    assert len(steps) == 3 + len(finders) + 1


def test_nothing_heavy_is_imported_to_find() -> None:
    program = (
        "import sys\n"
        "from duet_device.privacy.identifiers import load_finders\n"
        "from duet_device.privacy.redaction import redact\n"
        "redact('Maria Lopez, maria@example.org, 192.168.1.1', load_finders(lambda _: None))\n"
        "print(sorted({'spacy', 'tldextract', 'requests', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


def test_what_the_finders_import_can_be_loaded_ahead() -> None:
    program = (
        "import sys\n"
        "from duet_device.privacy.identifiers import load_ahead, load_finders\n"
        "from duet_device.privacy.redaction import redact\n"
        "load_ahead(lambda _: None)\n"
        "loaded = set(sys.modules)\n"
        "text = 'Maria Lopez, maria@example.org, sub.example.io, 192.168.1.1, +1 212 555 0188'\n"
        "print(redact(text, load_finders(lambda _: None)).text)\n"
        "print(*(set(sys.modules) - loaded))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    sent, later = done.stdout.split("\n", 1)
    assert sent == "[NAME_1], [EMAIL_1], [URL_1], [IP_1], [PHONE_1]"
    # Data of a country's numbers is read when a number of it comes.
    assert [name for name in later.split() if not name.startswith("phonenumbers.data.")] == []
