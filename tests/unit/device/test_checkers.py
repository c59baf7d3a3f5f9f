"""The device's own checks: equations, the last result, numbers from nowhere, and others' checkers."""

from collections.abc import Iterator
from fractions import Fraction
from importlib.metadata import EntryPoint

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_device.policy import checkers
from duet_device.policy.arithmetic import check_arithmetic, equations
from duet_device.policy.check import Answered, Check
from tests.doubles.growth import assert_linear

QUESTION = "Ann has 3 bags of 4 apples and 20% of 50 pears. How many apples has Ann?"


def doubts(signal: str, answer: str, *, whole: bool = True, **more: bool) -> list[str]:
    found = check_arithmetic(Answered(QUESTION, signal, whole, answer, **more))
    return [each.doubt for each in found if not each.holds and each.doubt]


@pytest.mark.parametrize(
    "signal",
    [
        "3*4=13",
        "3 × 4 = 13 apples",
        r"$3 \times 4 = 13$",
        "so 3*4=13",
        "- 3*4 = 13",
        "1) 3*4 = 13",
        "First: (3+1)*4=13",
        "2^3=9",
        "1/3=0.34",
    ],
)
def test_an_equation_that_does_not_hold(signal: str) -> None:
    [doubt] = doubts(signal, "13", whole=False)
    assert doubt.endswith("does not hold")


@pytest.mark.parametrize(
    "signal",
    [
        "3*4=12",
        "3*4=12.",
        "- 3*4 = 12",
        "1. 3*4 = 12",
        "3*4=12+5=17",
        "1/4=2/8",
        "10/3=3.33",
        "10/3≈3.3",
        "1,250 * 2 = 2,500",
        # Not arithmetic alone, and so not judged:
        "x+3*4=20",
        "2x + 3 = 7",
        "3 apples - 4 = 6",
        "f(2)+3=9",
        "20% of 50 = 10",
        "0.5*50=2500%",
        "x = 5",
        "5 = 5",
        "9^9^9^9=1",
        "3*4=[NUMBER_1]",
        "",
    ],
)
def test_what_holds_or_is_not_judged(signal: str) -> None:
    assert all(each.holds for each in equations(signal))


@given(st.integers(1, 999), st.integers(1, 999), st.integers(-3, 3), st.sampled_from("+-*"))
def test_equations_of_whole_numbers(a: int, b: int, off: int, sign: str) -> None:
    right = {"+": a + b, "-": a - b, "*": a * b}[sign]
    [found] = equations(f"so {a}{sign}{b}={right + off}.")
    assert found.holds == (off == 0)
    assert found.left == Fraction(right)


@given(st.text(alphabet="0123456789+-*/=()., \n$%x^", max_size=60), st.text(max_size=20))
def test_any_text_is_read(signal: str, answer: str) -> None:
    list(check_arithmetic(Answered(QUESTION, signal, True, answer)))


def test_the_answer_is_the_signals_last_result() -> None:
    said = "the answer is not the signal's last result"
    assert doubts("3*4=12", "It is 13.") == [said]
    assert doubts("3*4=12", "It is 12.") == []
    # The last step may be missing.
    assert doubts("3*4=12", "It is 13.", whole=False) == []


def test_an_answer_from_nowhere() -> None:
    said = "the answer's number is in neither question nor signal"
    assert doubts("Ann has 12 apples", "She has 13.") == [said]
    assert doubts("Ann has 12 apples", "She has 12.") == []
    assert doubts("take both", "She has 13.") == []
    # It may be in a document that the decoder read.
    assert doubts("Ann has 12 apples", "She has 13.", self_contained=False) == []


@pytest.mark.parametrize(
    ("signal", "holds"),
    [
        ("3*4=12", [True, True]),
        ("3*5=15", [True, False]),
        # A result may be used, a percentage be written as a share, a day have 24 hours.
        ("3*4=12; 12+4=16", [True] * 4),
        ("0.2*50=10", [True, True]),
        ("3*24=72", [True, True]),
    ],
)
def test_where_a_term_comes_from(signal: str, holds: list[bool]) -> None:
    found = check_arithmetic(Answered(QUESTION, signal, False, ""))
    assert [each.holds for each in found] == holds


def test_a_long_signal_is_read_from_its_last_whole_sentences() -> None:
    # Of a text that was cut, neither the first equation nor the origin of a number is known.
    long = "100 apples. 13*4=52. " + "then 3*4=12. " * 400
    assert all(doubts(long[at:], "12") == [] for at in range(20))
    words = "31 apples. " + "Take some of them. " * 300
    assert doubts(words + "Keep 9", "She has 31.") == []
    found = check_arithmetic(Answered(QUESTION, words + "31*2=62", True, "62"))
    assert all(each.holds for each in found)
    assert doubts(long + "3*4=13", "13") == ["3*4=13 does not hold"]


@pytest.mark.parametrize("loop", ["1 + ", "3*4=", "(", "1 ", "1,000 = 2 - "])
def test_a_signal_that_repeats_itself_is_read_in_time(loop: str) -> None:
    assert_linear(lambda text: list(check_arithmetic(Answered(QUESTION, text, True, "12"))), loop)


def test_others_add_checkers_and_their_faults_lose_no_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    here = "tests.unit.device.test_checkers"
    entries = [
        EntryPoint("polite", f"{here}:polite", checkers.GROUP),
        EntryPoint("broken", f"{here}:broken", checkers.GROUP),
        EntryPoint("missing", f"{here}:missing", checkers.GROUP),
    ]
    monkeypatch.setattr(checkers, "entry_points", lambda group: entries)
    checkers.checkers.cache_clear()
    try:
        found = checkers.check(Answered(QUESTION, "3*4=12", True, "12"))
    finally:
        checkers.checkers.cache_clear()
    assert Check(False, "it does not say please") in found
    assert sum(each.holds for each in found) == 3
    assert "checker broken failed: ZeroDivisionError" in caplog.text
    assert "checker missing cannot be loaded" in caplog.text


def polite(answered: Answered) -> Iterator[Check]:
    yield Check("please" in answered.answer, "it does not say please")


def broken(_: Answered) -> Iterator[Check]:
    yield Check(bool(1 / 0))
