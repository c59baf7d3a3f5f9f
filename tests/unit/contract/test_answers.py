r"""One rule for answers: the table, and what holds for every number and every text."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duet_contract.answers import (
    Comparison,
    ReferenceKind,
    decide,
    final_answer,
    is_right,
    last_boxed,
)
from duet_contract.answers.arithmetic import evaluate
from duet_contract.answers.plain import plain
from duet_contract.answers.quantities import read_quantity
from duet_contract.answers.units import conversion, read_unit
from duet_contract.answers.worked import after_hashes, final_line, reference_text
from tests.doubles.growth import cpu_seconds
from tests.doubles.judged import ALGEBRA, BOXED, PROSE

LONG = 200_000


def test_the_table_in_a_box():
    assert len(BOXED) + len(PROSE) > 400
    assert [
        (reference, answer, right)
        for reference, answer, right in BOXED
        if is_right(rf"so \boxed{{{answer}}}", reference) != right
    ] == []


def test_the_table_without_a_box():
    assert [row for row in PROSE if is_right(row[1], row[0]) != row[2]] == []


def test_where_a_box_is_required_prose_is_wrong():
    assert not any(is_right(answer, reference, boxed=True) for reference, answer, _ in PROSE)


@pytest.mark.parametrize(("reference", "answer", "right"), ALGEBRA)
def test_algebra_is_left_to_a_system_that_knows_it(reference, answer, right):
    verdict = decide(rf"\boxed{{{answer}}}", reference)
    assert verdict == Comparison(reference, answer)
    response = rf"\boxed{{{answer}}}"
    assert not is_right(response, reference)
    assert is_right(response, reference, equal=lambda comparison: comparison == verdict)


@pytest.mark.parametrize(
    ("response", "boxed"),
    [
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{1} then \boxed{2}", "2"),
        (r"\boxed{1} then \boxed{2", "1"),
        (r"\fbox{3} \fboxed{4}", "4"),
        (r"\boxed{4} \fbox{3}", "3"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed {6}", "6"),
        (r"\boxed{7}. I put it within \boxed{}.", "7"),
        (r"} \boxed{8} }", "8"),
        (r"\boxed{ }", None),
        ("12 and 15", None),
    ],
)
def test_the_last_box(response, boxed):
    assert last_boxed(response) == boxed


@pytest.mark.parametrize(
    ("solution", "found"),
    [
        ("24.\n#### 24", "24"),
        ("a ####.\nb", None),
        ("##### x", None),
        ("1\n#### ", ""),
        ("####", ""),
    ],
)
def test_the_last_line_of_a_worked_solution(solution, found):
    assert after_hashes(solution) == found
    assert final_line(solution) == (solution if found is None else found)


@pytest.mark.parametrize("answer", [False, True, [1], {}, float("nan"), float("-inf")])
def test_what_is_no_reference_is_refused(answer):
    with pytest.raises(ValueError, match="'answer' is n"):
        reference_text(answer)


@pytest.mark.parametrize(
    ("response", "text", "value"),
    [
        (r"\boxed{16}", "16", Fraction(16)),
        (r"so \boxed{\frac{3}{4}}", "3/4", Fraction(3, 4)),
        (r"\boxed{5\text{ cm}}", "5 cm", Fraction(5)),
        (r"\boxed{25\%}", "25%", Fraction(25)),
        (r"\boxed{\$1{,}000}", "$1,000", Fraction(1000)),
        (r"\boxed{12\cdot 17}", "12·17", None),
        (r"\boxed{\text{Tuesday}}", "Tuesday", None),
        (r"\boxed{2\sqrt{5}}", "2√5", None),
        (r"\boxed{\text{(C)}}", "(C)", None),
        ("The answer is 18 (see step 2).", "18", Fraction(18)),
        ("It leaves 10.", "10", Fraction(10)),
        ("She has -2.5 left", "-2.5", Fraction(-5, 2)),
        ("4+4 = 8\n#### 8", "8", Fraction(8)),
        ("It is in\nParis.", "Paris", None),
        (r"\boxed{1e400000000}", "1e400000000", None),
    ],
)
def test_the_final_answer_as_a_person_writes_it(response, text, value):
    answer = final_answer(response)
    assert answer is not None
    assert (answer.text, answer.value) == (text, value)


@pytest.mark.parametrize("response", ["", " \n", r"\boxed{" + "9" * 2000 + "}"])
def test_no_final_answer(response):
    assert final_answer(response) is None


def test_a_kind_may_be_given():
    assert is_right(r"\boxed{b}", "b", kind=ReferenceKind.CHOICE)
    assert is_right(r"\boxed{\text{(B)}}", "b", kind=ReferenceKind.CHOICE)
    assert not is_right(r"\boxed{x}", "12", kind=ReferenceKind.NUMBER)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2+3*4", 14),
        ("(2+3)*4", 20),
        ("-2^2", -4),
        ("2^-2", Fraction(1, 4)),
        ("12 ÷ 8", Fraction(3, 2)),
        ("1,000/3", Fraction(1000, 3)),
        ("2^(1/2)", None),
        ("9^9^9^9", None),
        ("(1", None),
        ("1 2", None),
        ("2(3)", None),
        ("3//2", None),
        ("+-3", -3),
        ("", None),
        ("(" * 100 + "1" + ")" * 100, None),
        ("(" * 99 + "1" + ")" * 99, 1),
        ("(" * 200, None),
        ("-" * 199 + "1", -1),
        ("2" + "^1" * 99, 2),
        ("+".join(["1"] * 200), None),
    ],
)
def test_arithmetic(text, value):
    assert evaluate(text) == value


@pytest.mark.parametrize(
    ("wanted", "given_unit", "factor"),
    [
        ("cm", "m", 100),
        ("km/h", "m/s", Fraction(18, 5)),
        ("m^2", "square centimeters", Fraction(1, 10_000)),
        ("kg", "pounds", Fraction(45359237, 100_000_000)),
        ("miles per hour", "mph", 1),
        ("dollars", "cents", Fraction(1, 100)),
        ("apples", "green apples", 1),
        ("cm", "kg", None),
        ("cm", "cm^2", None),
        ("apples", "pears", None),
    ],
)
def test_units_agree_or_convert_exactly(wanted, given_unit, factor):
    assert conversion(read_unit(wanted), read_unit(given_unit)) == factor


@st.composite
def written(draw):
    """A fraction, and one way to write it."""
    value = Fraction(draw(st.integers(-(10**9), 10**9)), draw(st.integers(1, 10**4)))
    top, bottom = abs(value.numerator), value.denominator
    minus = draw(st.sampled_from(["-", "\u2212", "\u2013", "- "])) if value < 0 else ""
    forms = []
    if bottom == 1:
        comma = draw(st.sampled_from([",", "{,}", r"\,", "\u00a0", "\u202f", " ", r",\!", "'"]))
        forms += [f"{top}", f"{top}.", f"{top}.00", f"{top:,}".replace(",", comma), f"0{top}"]
        forms += [f"{top}e0", f"\uff10{top}"]
    else:
        command = draw(st.sampled_from([r"\frac", r"\dfrac", r"\tfrac", r"\cfrac"]))
        forms += [f"{top}/{bottom}", f"{command}{{{top}}}{{{bottom}}}", f"{top}\u2044{bottom}"]
        whole, rest = divmod(top, bottom)
        if whole:
            forms += [f"{whole} {rest}/{bottom}", f"{whole}{command}{{{rest}}}{{{bottom}}}"]
    thousandth = Fraction(top, bottom * 1000)
    if 10**6 % thousandth.denominator == 0:
        mantissa = f"{int(thousandth * 10**6):07d}"
        decimal = f"{mantissa[:-6]}.{mantissa[-6:]}"
        times = draw(st.sampled_from([r"\times10^{3}", r" \times 10^3", r"\cdot 10^{3}", "×10³"]))
        forms += [f"{decimal}e3", f"{decimal}E+3", f"{decimal} x 10^3", f"{decimal}{times}"]
    number = minus + draw(st.sampled_from(forms))
    frame = draw(
        st.sampled_from(
            [
                "{}", "${}$", r"\({}\)", r"\text{{{}}}", r"\mathbf{{{}}}", "**{}**", r"\,{}\;",
                r"\color{{red}}{{{}}}", r"x = {}", "{} apples", r"{}\text{{ cm}}", "({})",
            ]
        )
    )  # fmt: skip
    return value, frame.format(number)


@given(written())
@settings(max_examples=200, deadline=None)
@pytest.mark.slow
def test_a_number_is_read_back_whole_from_every_form(case):
    value, text = case
    answer = final_answer(rf"so \boxed{{{text}}}")
    assert answer is not None
    assert answer.value == value
    reference = f"{value.numerator}/{value.denominator}"
    assert is_right(rf"\boxed{{{text}}}", reference) is True
    assert is_right(rf"\boxed{{{text}}}", f"{value.numerator + 1}/{value.denominator}") is False


_PIECES = (
    r"\boxed{ \frac \text \sqrt \left( \begin{pmatrix} \$ ^ _ { } ( ) [ ] $ % & ~ \\ \! \, #### "
    "answer is B or not 1 2,3 1/2 1e9 10^ 9^9^9 = ≈ - + * · ∪ x cm per ² ¾ ٣ × ! ."
)
_PARTS = st.sampled_from([*_PIECES.split(), " ", "\n", "\u200b"])
_GARBAGE = st.one_of(st.text(max_size=300), st.lists(_PARTS, max_size=80).map("".join))


@given(_GARBAGE, _GARBAGE, st.booleans(), st.booleans())
@settings(max_examples=200, deadline=1_000)
@pytest.mark.slow
def test_garbage_is_judged_soon_and_never_raises(answer, reference, computed, boxed):
    for response in (answer, rf"\boxed{{{answer}}}"):
        verdict = decide(response, reference, computed=computed, boxed=boxed)
        assert isinstance(verdict, bool | Comparison)
        final_answer(response)
    plain(answer)


@given(
    st.integers(0, 10**12), st.integers(2, 10**6), st.sampled_from(["*", r"\cdot ", "+", "×", "-"])
)
def test_arithmetic_is_no_number_until_it_is_computed(left, right, sign):
    text = f"{left}{sign}{right}"
    value = evaluate(plain(text) or "")
    response = rf"\boxed{{{text}}}"
    assert not is_right(response, str(value))
    assert is_right(response, str(value), computed=False)
    assert not is_right(response, str(value + 1), computed=False)
    assert is_right(rf"\boxed{{{text} = {value}}}", str(value))


HOSTILE = {
    "digits": "9" * LONG,
    "digits in a box": r"\boxed{" + "9" * LONG + "}",
    "open braces": "{" * LONG,
    "deep box": r"\boxed{" + "{" * LONG + "}" * LONG + "}",
    "boxes": r"\boxed{1}" * (LONG // 9),
    "brackets": "(" * LONG,
    "a list": "1," * LONG,
    "hashes": "####\n" * (LONG // 5),
    "blanks behind hashes": "#### 1" + " \n" * LONG,
    "blanks in a box's command": r"\boxed" + " " * LONG + "{1}",
    "cues": "the answer is 1 " * (LONG // 16),
    "backslashes": "\\" * LONG,
    "exponent": r"\boxed{1e999999999}",
    "tower": r"\boxed{9^9^9^9^9^9}",
    "deep text": r"\boxed{" + r"\text{" * 150 + "}" * 150 + "}",
    "deep roots": r"\boxed{" + r"\sqrt" * 190 + "}",
    "equations": r"\boxed{" + "1=" * 450 + "1}",
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.timeout(60)
@pytest.mark.slow
def test_no_size_takes_more_than_one_pass(name):
    response = HOSTILE[name]

    def read():
        for reference in ("7", "B", "Tuesday", "x+1"):
            assert decide(response, reference, computed=False) is not True
        final_answer(response)

    assert cpu_seconds(read) < 10  # Quadratic time would take many minutes.


def test_a_number_that_is_too_long_is_refused_but_its_own_text_is_right():
    digits = "1" + "0" * 5_000
    assert read_quantity(digits) is None
    assert is_right(rf"\boxed{{{digits}}}", digits)
    assert not is_right(rf"\boxed{{{digits}0}}", digits)
