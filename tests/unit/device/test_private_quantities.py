"""Pairs with private quantities: what of a question leaves the device, and what does not."""

import random
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from duet_contract.manifest import Manifest
from duet_contract.quantities import OUT_OF_REACH, mask
from duet_device.errors import UsageProblem
from duet_device.events import AnswerText, Event
from duet_device.pairs.pair import Pair
from duet_device.privacy.context import Document
from duet_device.privacy.found import Found
from duet_device.privacy.redaction import redact
from duet_device.question import Question, build_request
from duet_device.settings import Settings
from duet_tools.privacy.judge import numbers_in
from tests.doubles.asking import ask, texts
from tests.doubles.cloud import Script, done, says, tokens
from tests.doubles.decoder import END, ScriptedDecoder, answering
from tests.doubles.manifests import PRIVATE_PAIR
from tests.unit.device.conftest import manifest_data

WORDS = ("Ann", "has", "[a]", "pens", "two-thirds", "dozen,", "kg", "%", "$", "x²", "no.", "A-")
SCRIPTS = ("0123456789", "٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९", "0123456789", "¹²³⁴⁵⁶⁷⁸⁹⁰", "①②③④⑤ⅣⅧ¼½¾")
GLUE = ("", " ", ".", ",", "/", ":", "-", "'", "th", "kg", "e", "%", " million", "\u00a0", "_")
NUMBERS = [each for each in map(chr, range(0x110000)) if unicodedata.category(each)[0] == "N"]
# Without width, combining, or both; some may join numbers, some may part them.
MARKS = ("\u200b", "\u200d", "\u00ad", "\u034f", "\ufe0f", "\u20e3", "\u0301", "\u0332", "\u3164")
NUMBER_WORDS = ("five", "twenty", "a hundred", "million", "XIV", "fourty", "ratio of", "pm", "$")


@pytest.fixture
def private() -> Manifest:
    return Manifest.model_validate(manifest_data(**PRIVATE_PAIR))


def questions(count: int) -> Iterator[str]:
    """Words and numbers in many notations, next to one another in any way."""
    rng = random.Random("questions")
    for _ in range(count):
        parts: list[str] = []
        for _ in range(rng.randint(1, 12)):
            if rng.random() < 0.3:
                parts.append(rng.choice((*NUMBERS[:: len(NUMBERS) // 200], *MARKS, *NUMBER_WORDS)))
                parts += rng.choice((*MARKS, " ", "")), rng.choice(NUMBERS)
            elif rng.random() < 0.5:
                parts.append(rng.choice(WORDS) + rng.choice((" ", " ", "")))
            else:
                script = rng.choice(SCRIPTS)
                parts += "".join(rng.choices(script, k=rng.randint(1, 6))), rng.choice(GLUE)
        yield "".join(parts)


def numeric(text: str) -> list[str]:
    return [char for char in text if unicodedata.category(char)[0] == "N"]


@pytest.mark.slow
def test_no_number_of_three_thousand_questions_leaves_the_device(private: Manifest) -> None:
    nothing_asked = build_request("pens", private, Settings())
    nothing_asked.request_id = nothing_asked.question = ""
    digits = 0
    for text in questions(3_000):
        request = build_request(text, private, Settings())
        digits += len(numeric(text))
        assert not numeric(request.question), text
        assert not numbers_in(request.question), text
        assert not mask(request.question).quantities, text
        # The rest of the request is the same for every question, but for its random name.
        request.request_id = request.question = ""
        assert request == nothing_asked
    assert digits > 1_000


def test_questions_that_differ_in_their_numbers_alone_are_sent_alike(private: Manifest) -> None:
    sent = {
        Question(f"Ann has {number} pens and sells {other}.").for_pair(private).sent
        for number in ("3", "1,000.5", "twelve", "٣")
        for other in ("½", "7/3", "three-quarters", "four-quarters")
    }
    assert sent == {"Ann has [a] pens and sells [x]."}


def test_other_pairs_read_the_numbers() -> None:
    manifest = Manifest.model_validate(manifest_data())
    question = Question("Ann has 3 pens.").for_pair(manifest)
    assert (question.masked, question.sent) == (None, "Ann has 3 pens.")


def test_names_and_numbers_are_replaced_together(private: Manifest) -> None:
    def find_ann(text: str) -> list[Found]:
        start = text.find("Ann")
        return [Found(start, start + 3, "NAME", "ann")]

    text = "Ann has 11 pens and [NAME_1] 2."
    question = Question(text, redaction=redact(text, [find_ann])).for_pair(private)
    assert question.sent == "[NAME_2] has [a] pens and [NAME_[b]] [c]."
    assert [quantity.source for quantity in question.masked.quantities] == ["11", "1", "2"]


QUESTION = "Nina had 40 euros and bought 3 books for 8 euros each. How many euros are left?"
MASKED = "Nina had [a] euros and bought [b] books for [c] euros each. How many euros are left?"


@pytest.fixture
def computing(tmp_path: Path) -> Pair:
    limits = {"question": 200, "budget": 32, "answer": 64}
    data = manifest_data(**PRIVATE_PAIR, limits=limits)
    return Pair(tmp_path, Manifest.model_validate(data))


def formula(text: str) -> Script:
    return says(tokens(*text.encode()), done(len(text)))


@pytest.mark.parametrize(
    ("signal", "sentence", "answer", "value", "doubtful"),
    [
        ("b*c=A;a-A", "Nina has {=} euros left.", "Nina has 16 euros left.", "16", False),
        ("b*c=A;a-A", "", "The answer is 16 euros.", "16", False),
        ("a-b", "Nina has {=} euros left.", "Nina has 37 euros left.", "37", True),
        ("?", "Nina has {=} euros left.", OUT_OF_REACH, None, True),
        ("a/(b-b)", "It is {=}.", "No answer: the formula divides by zero.", None, True),
        ("z-a", "It is {=}.", "No answer: the formula uses z, which is neither a label of the "
         "question nor an earlier step.", None, True),
    ],
)  # fmt: skip
def test_the_device_computes_what_the_cloud_never_saw(
    computing: Pair, signal: str, sentence: str, answer: str, value: str | None, doubtful: bool
) -> None:
    decoder = ScriptedDecoder(answering(sentence, " A:"))
    events: list[Event] = []
    result, cloud = ask(formula(signal), computing, decoder, events, question=QUESTION)
    assert cloud.requests[0].question == MASKED
    assert (
        bytes(token for token in decoder.ids if token < END).decode().startswith(f"Q:{MASKED} S:")
    )
    receipt = result.receipt
    assert (receipt.answer, receipt.value, receipt.low_confidence) == (answer, value, doubtful)
    assert (bool(receipt.doubts), bool(receipt.work)) == (doubtful, value is not None)
    assert receipt.numbers_sent == 0
    # Nothing is shown before its numbers are in.
    assert texts(events, AnswerText) == [answer]


def test_alone_the_decoder_writes_the_formula(computing: Pair) -> None:
    decoder = ScriptedDecoder(answering("{b*c=A;a-A} euros are left.", " A:"))
    result, cloud = ask(formula("?"), computing, decoder, question=QUESTION, device_only=True)
    assert not cloud.requests
    assert result.answer == "16 euros are left."
    assert result.receipt.work == ("3*8=24", "40-24=16")
    assert result.receipt.numbers_sent == 0


def test_names_come_back_with_the_numbers(computing: Pair) -> None:
    redaction = redact(QUESTION, [lambda text: [Found(0, 4, "NAME", "nina")]])
    question = Question(QUESTION, redaction=redaction)
    decoder = ScriptedDecoder(answering("[NAME_1] has {=} euros of [a].", " A:"))
    result, cloud = ask(formula("b*c=A;a-A"), computing, decoder, question=question)
    assert cloud.requests[0].question == MASKED.replace("Nina", "[NAME_1]")
    assert result.answer == "Nina has 16 euros of 40."
    assert result.receipt.numbers_sent == 0


def test_other_pairs_say_how_many_numbers_they_sent(pair: Pair) -> None:
    decoder = ScriptedDecoder(answering("16", " A:"))
    result, _ = ask(formula("x"), pair, decoder, question="40 less 3 times 8?")
    assert (result.receipt.numbers_sent, result.receipt.work) == (3, ())


def test_such_a_pair_reads_no_context(computing: Pair) -> None:
    question = Question(QUESTION, (Document("a.txt", "one"),))
    with pytest.raises(UsageProblem, match="leave out --context"):
        ask(formula("a"), computing, ScriptedDecoder(answering("", " A:")), question=question)


NOTE = Document("trip.txt", "Museum ticket: $7.50\nChildren: 24\nRent: $900\nAnn Bo owes $31\n")
ASKED = "What do museum tickets for all children cost?"


def test_lines_of_notes_are_sent_without_numbers_and_others_are_not(computing: Pair) -> None:
    decoder = ScriptedDecoder(answering("They cost {=} dollars.", " A:"))
    question = Question(ASKED, notes=(NOTE,))
    result, cloud = ask(formula("a*b"), computing, decoder, question=question)
    assert cloud.requests[0].question == f"Museum ticket: $[a]. Children: [b]. {ASKED}"
    receipt = result.receipt
    assert (receipt.answer, receipt.work) == ("They cost 180 dollars.", ("7.5*24=180",))
    assert (receipt.numbers_sent, receipt.doubts, receipt.low_confidence) == (0, (), False)


def test_a_fact_that_the_formula_leaves_out_is_no_reason_to_doubt(computing: Pair) -> None:
    decoder = ScriptedDecoder(answering("It is {=}.", " A:"))
    question = Question(ASKED.replace("all", "2"), notes=(NOTE,))
    result, _ = ask(formula("a*c"), computing, decoder, question=question)
    assert (result.answer, result.receipt.doubts) == ("It is 15.", ())
    result, _ = ask(formula("a*b"), computing, decoder, question=question)
    assert result.receipt.doubts == ("the formula leaves out 1 of the question's numbers",)


def test_names_in_lines_of_notes_are_redacted_as_in_the_question(private: Manifest) -> None:
    question = Question("What does Ann owe, 2 times?", notes=(NOTE,))
    assert question.whole == "Ann Bo owes $31. What does Ann owe, 2 times?"
    redaction = redact(question.whole, [lambda text: [Found(0, 6, "NAME", "ann bo")]])
    masked = replace(question, redaction=redaction).for_pair(private).masked
    assert masked.text == "[NAME_1] owes $[a]. What does [NAME_1] owe, [b] times?"
    assert masked.from_notes == 1


@pytest.mark.slow
def test_no_digit_of_any_note_leaves_the_device(private: Manifest) -> None:
    lines = list(questions(1500))
    for text, *note in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        question = Question(text, notes=(Document("n", "\n".join(note)),))
        assert not numeric(build_request(question, private, Settings()).question)


def test_notes_that_cannot_be_used_are_refused(computing: Pair, pair: Pair) -> None:
    decoder = ScriptedDecoder(answering("", " A:"))
    with pytest.raises(UsageProblem, match="give the file with --context"):
        ask(formula("a"), pair, decoder, question=Question(ASKED, notes=(NOTE,)))
    with pytest.raises(UsageProblem, match="no line of the notes"):
        ask(formula("a"), computing, decoder, question=Question("How old?", notes=(NOTE,)))
    with pytest.raises(UsageProblem, match="the notes have 1048577 bytes, at most 1048576"):
        Question(ASKED, notes=(Document("n", "x" * ((1 << 20) + 1)),))
