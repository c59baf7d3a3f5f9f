"""Reading a question, a signal or an answer takes time that is linear in its length."""

import pytest

from duet_contract.answers import final_answer, is_right, last_boxed
from duet_contract.answers.worked import reference_text
from duet_contract.quantities import answer_of, asked, mask, plain_sentence, unmask
from duet_contract.quantities.notes import facts, needed
from duet_contract.quantities.units import units
from tests.doubles.growth import assert_linear, assert_no_slower

REPEATED = [
    "a", "1", "1 ", "-1 ", "-", " ", "\n", " \n", "$", "$1 ", "1 $", "(", "[", "{", "[a]", "1,", "1.", "=1",
    "= ", "####\n", "\\", "\\box{", "*", "`", "^", "\u0301", "\u200b", "½", "²", "answer is 1 ", "x=1 ",
    "| a | 1 |\n", "- a 1\n", "a,1\n", "s", "ing", "one ", "a hundred ",
    "1/1 ", "三", "Ⅳ", "XIV ", "🕒", "twenty-", "How many ", "1 a. B ",
]  # fmt: skip


def read_question(text: str) -> None:
    masked = mask(text)
    assert unmask(masked) == text
    units(masked)
    answer_of(masked, "a", plain_sentence(masked.text, asked(masked.text)))


def read_notes(text: str) -> None:
    needed(text, facts(text))


def read_answer(text: str) -> None:
    final_answer(text)
    last_boxed(text)
    reference_text(text)
    is_right(text, "7")


@pytest.mark.parametrize("read", [read_question, read_notes, read_answer])
@pytest.mark.parametrize("pattern", REPEATED)
@pytest.mark.slow
def test_time_is_linear_in_the_text(read, pattern):
    assert_linear(read, pattern, 10_000 if read is read_question else 20_000)


@pytest.mark.parametrize("start", ["####", "x\n####", "\\boxed"])
def test_blanks_before_what_ends_no_answer_take_linear_time(start):
    assert_linear(lambda text: read_answer(f"{start}{text}x\ny"), " ")


def test_a_long_first_line_of_a_table_is_read_once():
    def notes(size):
        return "a," * (size // 4) + "\n" + "x1,2\n" * (size // 10)

    long, short = notes(40_000), notes(5_000)
    assert_no_slower(lambda: facts(long), lambda: facts(short), 8)
