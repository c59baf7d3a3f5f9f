"""Whether the answer is the signal's last result."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_device.policy.arithmetic import agrees


@pytest.mark.parametrize(
    ("signal", "answer"),
    [
        ("4*1.50=6.", r"\boxed{56}"),
        ("4*1.50=6.", "It costs 56."),
        ("3*4=12; 12+5=17", r"12 and then \boxed{12}"),
        ("x=1,250", r"\boxed{125}"),
        ("7-9=-2", r"\boxed{2}"),
        ("2+2=4 apples", r"\boxed{4} no, \boxed{5}"),
        ("=$6.50", r"\boxed{$6}"),
    ],
)
def test_another_number(signal: str, answer: str) -> None:
    assert agrees(signal, answer) is False


@pytest.mark.parametrize(
    ("signal", "answer"),
    [
        ("4*1.50=6.", r"\boxed{6}"),
        ("4*1.50=6.", r"\boxed{6.00}"),
        ("4*1.50 = $6", "She pays 6 dollars for 4."),
        ("x=1,250", r"\boxed{1250}"),
        ("x=1250.", r"\boxed{1,250}"),
        # Not a result, or not a number:
        ("", r"\boxed{6}"),
        ("add both", r"\boxed{6}"),
        ("x = y", r"\boxed{6}"),
        ("6 = 2*3", r"\boxed{6}"),
        ("= 3/4", r"\boxed{0.75}"),
        ("= 3 + 4", r"\boxed{7}"),
        ("= 25%", r"\boxed{0.25}"),
        ("x = 1,2", r"\boxed{12}"),
        ("= [NUMBER_1]", r"\boxed{6}"),
        ("4*1.50=6.", r"\boxed{\frac{12}{2}}"),
        ("4*1.50=6.", "Six."),
        ("4*1.50=6.", ""),
    ],
)
def test_the_same_or_nothing_to_compare(signal: str, answer: str) -> None:
    assert agrees(signal, answer) is not False


@given(st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12))
def test_whole_numbers(result: int, given: int) -> None:
    for written in (f"{given}", f"{given:,}"):
        assert agrees(f"so x={result}.", rf"\boxed{{{written}}}") == (result == given)


@given(st.text(), st.text())
def test_any_text(signal: str, answer: str) -> None:
    assert agrees(f"={signal}", answer) in (True, False, None)
