from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_contract.errors import FormulaError, NoFormula
from duet_contract.quantities import (
    OUT_OF_REACH,
    Quantity,
    answer_of,
    asked,
    check,
    compute,
    fill,
    mask,
    plain,
    result_of,
    written,
)

QUANTITIES = mask("20 boxes, 3 pens, 0.5 litres, on 2024-05-01").quantities


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("a", 20),
        ("(a-b)*c", Fraction(17, 2)),
        ("a/b", Fraction(20, 3)),
        ("a//b", 6),
        ("a mod b", 2),
        ("a%*b", Fraction(3, 5)),
        ("b*c=A;a-A", Fraction(37, 2)),
        ("x=b*c. y=a-x. y*2", 37),
        ("a*b;A+1;B*A", 3660),
        ("a.b", 3),  # a full stop ends a step
        ("-a+b", -17),
        ("a*-b", -60),
        ("up(a/b)+down(a/b)+round(a/b)", 20),
        ("round(c)", 1),
        ("abs(b-a)", 17),
        ("max(a,b)-min(a,b,c)", Fraction(39, 2)),
        ("a*1.5+.5", Fraction(61, 2)),
        ("a × b ÷ 2 − 1", 29),
        (" a - b ", 17),
    ],
)
def test_formulas_are_computed_exactly(formula: str, value: Fraction) -> None:
    assert compute(formula, QUANTITIES).value == value


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("", "empty"),
        (" ;. ", "empty"),
        ("a b", "where an operator belongs"),
        ("a+", "its end where a number or a label belongs"),
        ("a+*b", "'*' where a number or a label belongs"),
        ("(a+b", "lacks ')'"),
        ("a+b)", "')' where an operator belongs"),
        ("abs a", "lacks '('"),
        ("abs(a,b)", "gives abs 2 operands"),
        ("mod", "'mod' where a number"),
        ("a=", 'has "=" without a name'),
        ("a=b=c", '"=" twice'),
        ("a+b=A;a-b=A", "names two steps A"),
        ("a+b=c", "names a step c, which is a label"),
        ("a/0", "divides by zero"),
        ("z+a", "uses z, which is neither"),
        ("A+a=A", "uses A, which is neither"),
        ("d+1", "label d, which is a date"),
        ("a!", "has '!'"),
        ("a**b", "'*' where a number"),
        ("__import__('os')", "has '_'"),
        ("1" * 13, "more than 12 digits"),
        ("a" * 501, "501 characters"),
        ("(" * 30 + "a" + ")" * 30, "nested deeper"),
        (";".join(["a"] * 27), "more than 26 steps"),
        ("999999999999*a=A;A*A=B;B*B=C;C*C=D;D*D", "256 bits"),
        ("٣+a", "has '٣'"),
        ("a\0", "has '\\x00'"),
    ],
)  # fmt: skip
def test_bad_formulas_end_in_one_line(formula: str, message: str) -> None:
    with pytest.raises(FormulaError) as raised:
        compute(formula, QUANTITIES)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@given(st.text(alphabet="abcdABx0129.%+-*/();= mod,up", max_size=60))
def test_any_text_gives_a_value_or_a_formula_error(formula: str) -> None:
    try:
        value = compute(formula, QUANTITIES)
    except FormulaError:
        return
    assert value.value.numerator.bit_length() <= 256
    assert value.work[-1].result == value.value


def test_a_reasoner_may_find_no_formula() -> None:
    with pytest.raises(NoFormula, match="found no formula"):
        compute(" ? ", QUANTITIES)


def test_work_shows_numbers_and_steps() -> None:
    value = compute("a%*b=A;A-c", QUANTITIES)
    assert [str(work) for work in value.work] == ["20%*3=0.6", "0.6-0.5=0.1"]
    assert value.used == {"a", "b", "c", "A"}
    assert compute("a*b;b+c", QUANTITIES).used == {"b", "c"}
    third = (
        Quantity("a", "1/3", Fraction(1, 3), "fraction"),
        Quantity("b", "-2", Fraction(-2), "number"),
    )
    assert str(compute("a*b", third).work[0]) == "(1/3)*(-2)=-2/3"


@pytest.mark.parametrize(
    ("question", "value", "text"),
    [
        ("How many buses are needed for [a] people?", Fraction(7, 2), "4"),
        ("How many full boxes can she pack?", Fraction(7, 2), "3"),
        ("How many people came?", Fraction(7, 2), "3.5"),
        ("How much money does she have?", Fraction(7, 2), "3.50"),
        ("How many dollars did it cost?", Fraction(10, 3), "3.33"),
        ("How many dollars did it cost?", Fraction(10), "10"),
        ("How many cents did it cost?", Fraction(25, 2), "12.5"),
        ("How many quarters has she?", Fraction(5, 2), "2.5"),
        ("How many hours did she walk?", Fraction(1, 3), "0.33"),
        ("How many hours did she walk?", Fraction(1, 8), "0.125"),
        ("What percentage of the liquid is water?", Fraction(200, 3), "66.67"),
        ("How much did he lose?", Fraction(-5, 2), "-2.5"),
        ("What is it?", Fraction(-1, 1000), "-0.001"),
        ("What does it cost? It is blue.", Fraction(1, 2), "0.50"),
        ("What is the weight of a grain?", Fraction(1, 300), "0.0033"),
        ("What does a grain cost?", Fraction(1, 300), "0.0033"),
        ("What does a grain cost?", Fraction(1, 30), "0.03"),
        ("What is it?", Fraction(-1, 10**30), "0"),
        ("What fraction of the pens is red?", Fraction(5, 8), "5/8"),
        ("What is that as a fraction?", Fraction(-1, 3), "-1/3"),
        ("What fraction is red, in percent?", Fraction(125, 2), "62.5"),
        ("How many times as old is he?", Fraction(1, 3), "0.33"),
        ("How many times did he run?", Fraction(1, 3), "0.33"),
        ("", Fraction(1, 2), "0.5"),
    ],
)
def test_results_are_written_as_what_is_asked(question: str, value: Fraction, text: str) -> None:
    assert written(value, asked(question)) == text


@given(
    st.fractions(max_denominator=10**6),
    st.sampled_from(["How much is it?", "What does it cost?", "How many cents?", "What percent?",
                     "What fraction of it?", "How many hours?", "How many pens?", "How old is he?"]),
)  # fmt: skip
def test_a_result_is_written_within_its_rounding(value: Fraction, question: str) -> None:
    found = Fraction(written(value, asked(question)))
    assert abs(found - value) <= Fraction(1, 200)
    assert bool(found) == bool(value)


@given(st.fractions())
def test_plain_numbers_are_exact(value: Fraction) -> None:
    assert Fraction(plain(value)) == value


def test_checks_say_what_is_suspicious() -> None:
    masked = mask(
        "Each of 3 boxes holds $4 and weighs 5 kg. How many boxes are there for 7 people?"
    )
    good = check(masked, compute("a*b*c*d", masked.quantities))
    assert (good.unused, good.negative, good.fractional, good.unlike_units) == (
        0,
        False,
        False,
        False,
    )
    odd = check(masked, compute("a-d=A;b+c=B;a/2", masked.quantities))
    assert (odd.unused, odd.unused_share, odd.idle_steps, odd.constants) == (3, 0.75, 2, 1)
    assert (odd.negative, odd.fractional, odd.unlike_units) == (True, True, True)
    assert odd.features()["unlike_units"] == 1.0


def test_units_follow_products_and_quotients() -> None:
    masked = mask("She drives 60 miles per hour for 2 hours, then 5 miles. How many miles is that?")
    assert not check(masked, compute("a*b=A;A+c", masked.quantities)).unlike_units
    assert check(masked, compute("a+c", masked.quantities)).unlike_units


@pytest.mark.parametrize(
    ("question", "formula", "unlike"),
    [
        ("A train leaves at 9:15 and arrives at 11:45. How long does it take?", "a+b", True),
        ("A train leaves at 9:15 and arrives at 11:45. How long does it take?", "b-a", False),
        ("He slept from 10 pm to 6 am. How long?", "2*(a+b)", True),
        ("She ran 1:30 hours on one day and 2:15 hours on the next. How long?", "a+b", False),
        ("A film begins at 8 pm and takes 2 hours. When does it end?", "a+b", False),
    ],
)
def test_two_times_of_day_cannot_be_added(question, formula, unlike):
    masked = mask(question)
    assert check(masked, compute(formula, masked.quantities)).unlike_units is unlike


QUESTION = mask("Nina had 40 euros. She bought 3 books for 8 euros each. How much money is left?")


@pytest.mark.parametrize(
    ("sentence", "text"),
    [
        ("Nina has {a-b*c} euros left.", "Nina has 16 euros left."),
        ("Of [a] euros, { = } are left, {a/3} each.", "Of 40 euros, 16 are left, 13.33 each."),
        ("Nina has {a-A} euros, {A=x;a-x}.", "Nina has 16 euros, 16."),
    ],
)
def test_sentences_are_filled(sentence: str, text: str) -> None:
    value = compute("b*c=A;a-A", QUESTION.quantities)
    found, said = fill(sentence, QUESTION, value)
    assert found == text
    assert said.value == 16
    if "=" not in sentence:
        assert fill(sentence, QUESTION, None)[0] == text


@pytest.mark.parametrize("sentence", ["Nina has some left.", "{a+}", "{z}", ""])
def test_a_sentence_that_cannot_be_filled_is_refused(sentence: str) -> None:
    with pytest.raises(FormulaError):
        fill(sentence, QUESTION, compute("a", QUESTION.quantities))


@pytest.mark.parametrize(
    ("sentence", "text"),
    [
        ("It is {=} dollars.", "It is 71.20 dollars."),
        ("It is ${=}.", "It is $71.20."),
        ("It is {=} pounds.", "It is 71.2 pounds."),  # of weight
        ("It is {=} pens.", "It is 71.2 pens."),
    ],
)
def test_a_sentence_about_money_has_cents(sentence: str, text: str) -> None:
    question = mask("A pound of pens is $17.80. What is it for 4?")
    found = answer_of(question, "a*b", sentence)
    assert (found.text, found.value in found.text) == (text, True)
    pounds = answer_of(
        mask("One pen is \u00a317.80. What is it for 4?"), "a*b", "It is {=} pounds."
    )
    assert pounds.text == "It is 71.20 pounds."


@pytest.mark.parametrize(
    ("question", "sort"),
    [
        ("What percent of 50 pens is that?", "percent"),
        ("By how many percent did it rise?", "percent"),
        ("What is the percentage?", "percent"),
        ("What is it in %?", "percent"),
        ("What is 20% of 50?", "number"),
        ("How much is 20 percent of 50?", "number"),
        ("How much does it cost with 20% off?", "money"),
    ],
)
def test_percent_is_asked_for_where_no_number_comes_before(question: str, sort: str) -> None:
    assert asked(question).sort == sort
    assert asked(mask(question).text).sort == sort


def test_a_result_needs_a_signal() -> None:
    with pytest.raises(FormulaError, match="there is no signal"):
        fill("Nina has {=} euros.", QUESTION, None)


@pytest.mark.parametrize(
    ("signal", "sentence", "text", "value", "doubts"),
    [
        ("b*c=A;a-A", "Nina has {=} euros left.", "Nina has 16 euros left.", "16", []),
        ("b*c=A;a-A", "", "The answer is 16.", "16", []),
        ("b*c=A;a-A", "Nina has {q} euros left.", "The answer is 16.", "16", []),
        ("b*c=A;a-A", "Nina has {=} of {=} euros.", "The answer is 16.", "16", []),
        ("b*c=A;a-A", "Nina has {=}, A*d} euros.", "The answer is 16.", "16", []),
        ("b*c=A;a-A", "Nina has {=} of 12 euros.", "The answer is 16.", "16", []),
        ("b*c=A;a-A", "[NAME_1] has {=} euros left.", "[NAME_1] has 16 euros left.", "16", []),
        ("b*c", "Nina has {a-A} euros left.", "Nina has 16 euros left.", "16", []),
        ("b*c=A;a-A", "Nina has {a-b*c} euros left.", "Nina has 16 euros left.", "16", []),
        # Not what the signal's formula gives.
        ("b*c=A;a-A", "Nina has {a-b} euros left.", "The answer is 16.", "16", []),
        ("b*c=A;a-A", "Of [d] euros, {=} are left.", "The answer is 16.", "16", []),
        ("b*c=", "{a-b*c} euros are left.", "16 euros are left.", "16", []),
        (None, "{b*c=A;a-A} euros are left.", "16 euros are left.", "16", []),
        (None, "Of [d] euros, {b*c=A;a-A} are left.", "The answer is 16.", "16", []),
        ("b*c", "It is {=}.", "It is 24.", "24", ["leaves out 1 of the question's numbers"]),
        ("a-b", "It is {=}.", "It is 37.", "37", ["leaves out 1", "unlike units"]),
        ("b-a*c", "", "The answer is -317.", "-317", ["negative", "unlike units", "unit is not"]),
        ("12*12", "", "The answer is 144.", "144", ["uses no number of the question"]),
        ("?", "{=} are left.", OUT_OF_REACH, "", ["found no formula"]),
        (None, OUT_OF_REACH, OUT_OF_REACH, "", ["no formula answers the question"]),
        (None, "It is {=}.", "No answer: ", "", ["there is no signal"]),
        ("a/(b-b)", "", "No answer: the formula divides by zero.", "", ["divides by zero"]),
        ("a-z", "Nina has {=}.", "No answer: ", "", ["uses z, which"]),
        ("999999999999*a=A;A*A=B;B*B=C;C*C=D;D*D", "", "No answer: ", "", ["256 bits"]),
        ("Nina has 16 euros left, because", "", "No answer: ", "", ["operator belongs"]),
    ],
)
def test_answers_are_made_or_marked(
    signal: str | None, sentence: str, text: str, value: str, doubts: list[str]
) -> None:
    found = answer_of(QUESTION, signal, sentence)
    assert found.text.startswith(text)
    assert found.value == value
    assert bool(found.work) == bool(value)
    assert len(found.doubts) == len(doubts)
    for said, wanted in zip(found.doubts, doubts, strict=True):
        assert wanted in said


def test_a_cut_signal_marks_the_answer() -> None:
    assert answer_of(QUESTION, "b*c=A;a-A", cut=True).doubts == (
        "the signal was cut at its budget",
    )


def test_a_sentence_may_know_more_than_a_part_of_a_formula() -> None:
    sentence = "Nina has {a-b*c} euros left."
    for ended in ({"cut": True}, {"whole": False}):
        assert answer_of(QUESTION, "b*c=A;a", sentence, **ended).text == "Nina has 16 euros left."
    assert answer_of(QUESTION, "b*c=A;a", sentence).text == "The answer is 40."


@pytest.mark.parametrize(
    ("numbers", "sentence", "text"),
    [
        ("3 2", "There are {=} pens left.", "There is 1 pen left."),
        ("3 2", "{=} red pens are left of [a].", "1 red pen is left of 3."),
        ("3 2", "{=} are left.", "1 is left."),
        ("3 2", "She has only {=} slices of cake, which are small.", "She has only 1 slice of cake, which are small."),
        ("3 2", "That is {=} children.", "That is 1 child."),
        ("3 2", "{=} of the pens are left.", "1 of the pens is left."),
        ("3 2", "It weighs {=} pounds less.", "It weighs 1 pound less."),
        ("5 2", "There are {=} pens left.", "There are 3 pens left."),
        ("3.5 2", "She walks {=} miles.", "She walks 1.5 miles."),
        ("13 2", "{=} glasses are left.", "11 glasses are left."),
        ("3 2", "It is ${=} less.", "It is $1 less."),
        ("2 3", "The change is ${=}.", "The change is -$1."),
        ("2 3", "The change is {=} degrees.", "The change is -1 degrees."),
    ],
)  # fmt: skip
def test_answers_are_written_as_a_person_would(numbers: str, sentence: str, text: str) -> None:
    first, second = numbers.split()
    things = "pens, slices, children, pounds, miles, glasses or degrees"
    question = mask(f"It was {first} {things} and then {second} less. What is it?")
    assert answer_of(question, "a-b", sentence).text == text


@pytest.mark.parametrize(
    ("question", "signal", "sentence", "text"),
    [
        ("I paid $35 and $42. How much money is it?", "a+b", "Ian paid {=} dollars.", "The answer is $77."),
        ("I paid $35 and $42. How much money is it?", "a+b", "You paid {=} dollars.", "You paid 77 dollars."),
        ("A car drives 300 km in 4 hours. How fast is it?", "a/b", "It is {=} years old.", "The answer is 75."),
        ("Ann is 12, Tom 3 years older. How old is Tom?", "a+b", "Tom is {=} years old.", "Tom is 15 years old."),
        ("Ann is twice 12. How old is she?", "2*a", "Ann is {=} years old.", "Ann is 24 years old."),
        ("NINA'S box has 9 pens, 2 break. How many pens are left?", "a-b", "Nina has {=} pens.", "Nina has 7 pens."),
        ("It opens at 9:15 and closes at 11:45. How long?", "b-a", "It takes {=} hours.", "It takes 2.5 hours."),
        ("He ran 3 km and 4 km. How far?", "a+b", "He ran {=} miles.", "The answer is 7."),
        ("Tom has 9 limes and eats 4. How many limes remain?", "a-b", "Tom has {=} l trees.", "The answer is 5 limes."),
    ],
)  # fmt: skip
def test_a_sentence_with_names_or_units_of_its_own_is_replaced(
    question: str, signal: str, sentence: str, text: str
) -> None:
    masked = mask(question)
    assert answer_of(masked, signal, sentence).text == text
    alone = sentence.replace("{=}", f"{{{signal}}}")
    assert answer_of(masked, None, alone).text == text


@pytest.mark.parametrize(
    ("question", "sentence", "text"),
    [
        ("How many red pens are there?", "", "The answer is 1 red pen."),
        ("How many more glass marbles has she?", "", "The answer is 1 more glass marble."),
        ("How many are left?", "", "The answer is 1."),
        ("How many did she keep?", "", "The answer is 1."),
        ("How many people came to the parties?", "", "The answer is 1 person."),
        ("It is $5. How many quarters are left?", "", "The answer is 1 quarter."),
        ("It is $5. How many cents are left?", "", "The answer is 1 cent."),
    ],
)
def test_a_plain_sentence_has_the_noun(question: str, sentence: str, text: str) -> None:
    assert answer_of(mask(f"3 and 2. {question}"), "a-b", sentence).text == text


@pytest.mark.parametrize(
    ("question", "formula", "sentence", "text", "value"),
    [
        ("It begins at 9:30 am and takes 4 hours. When does it end?", "a+b",
         "It ends at {=} o'clock.", "It ends at 1:30 pm.", "1:30"),
        ("It begins at 9:30 and takes 4 hours. When does it end?", "a+b",
         "It ends at {=}.", "It ends at 13:30.", "13:30"),
        ("It begins at 10 pm and takes 4 hours. What time is it then?", "a+b",
         "It is {=} p.m.", "It is 2 am.", "2"),
        ("It begins at 10 pm and takes 4 hours. What time is it then?", "a+b-12",
         "It is {=}.", "It is 2.", "2"),
        ("It ends at 3 o'clock after 4.5 hours. At what time did it begin?", "a-b",
         "It began at {=} o'clock.", "It began at 10:30.", "10:30"),
        ("It begins at 9 o'clock and takes 4 hours. When is it over?", "a+b",
         "It is over at {=} o'clock.", "It is over at 1 o'clock.", "1"),
        ("It begins at 12:15 pm and ends at 2 pm. How long is it?", "b-a",
         "It takes {=} hours.", "It takes 1.75 hours.", "1.75"),
        ("He slept from 10 pm to 6 am. How many hours is that?", "b-a",
         "That is {=} hours.", "That is 8 hours.", "8"),
        ("At 9 o'clock 4 people came. How many people is that when 5 more come?", "b+c",
         "That is {=} people.", "That is 9 people.", "9"),
    ],
)  # fmt: skip
def test_times_of_day_are_written_as_such(question, formula, sentence, text, value) -> None:
    found = answer_of(mask(question), formula, sentence)
    assert (found.text, found.value) == (text, value)
    left_out = [each for each in found.doubts if "leaves out" in each]
    assert list(found.doubts) == left_out


@given(
    st.text(alphabet="0123456789 abc.,/%$½三²[]?", max_size=40),
    st.none() | st.text(alphabet="abcA012.%+-*/();=?{}", max_size=30),
    st.text(alphabet="abcA012+-*/={} [].", max_size=30),
)
def test_any_signal_and_sentence_give_an_answer(
    question: str, signal: str | None, sentence: str
) -> None:
    found = answer_of(mask(question), signal, sentence)
    assert found.text
    assert found.value or found.doubts


@pytest.mark.parametrize(
    ("question", "formula", "wrong"),
    [
        ("He drives 60 miles in 2 hours. How many hours is that?", "a", True),
        ("He drives 60 miles in 2 hours. How many hours is that?", "b", False),
        ("3 pens cost $6. How many pens did he buy?", "b", True),
        ("3 pens cost $6. How much does he pay?", "b", False),
        ("3 pens cost $6. How much does he pay?", "a", True),
        ("20% of 50 pens are red. What percent is blue?", "b", False),
        ("A room is 5 feet by 3 feet. How many square feet is it?", "a*b", False),
        ("A room is 5 feet by 3 feet. How many square feet is it?", "a+b", True),
        ("A room has 5 square feet and one 3 square feet. How many feet is it?", "a+b", True),
    ],
)
def test_a_result_in_another_unit_is_suspicious(question, formula, wrong) -> None:
    masked = mask(question)
    found = check(masked, compute(formula, masked.quantities))
    assert (found.wrong_unit, found.fractional) == (wrong, False)


def test_measures_need_not_be_whole() -> None:
    for what in (
        "square feet",
        "acres",
        "degrees",
        "times as much milk",
        "times larger",
        "times more milk than water",
        "fluid ounces",
    ):
        masked = mask(f"It is 2.5 by 3. How many {what} is that?")
        assert not check(masked, compute("a*b", masked.quantities)).fractional
    for what in (
        "square tables",
        "quarters",
        "pennies",
        "times after noon",
        "times more did she run, and",
    ):
        masked = mask(f"It is 2.5 by 3. How many {what} is that?")
        assert check(masked, compute("a*b", masked.quantities)).fractional


@pytest.mark.parametrize(
    ("question", "formula", "result"),
    [
        ("Ann has 3 pens, Tom 8. How many more does Tom have?", "a-b", 5),
        ("Ann has 3 pens, Tom 8. What is the difference?", "a-b", 5),
        ("A is $3, B is $8. How much more does B cost?", "a-b", 5),
        ("Ann has 3 pens, Tom 8. How many more does Tom have?", "b-a", 5),
        ("Ann has 3 pens, Tom 8. How many more does Tom have?", "a-b=A;A*2", -10),
        ("Ann has 3 pens, Tom 8. How many more does Tom have?", "a-8", -5),
        ("It is 3 degrees and falls by 8. What is the temperature?", "a-b", -5),
    ],
)
def test_a_difference_has_no_sign_where_an_amount_is_asked(question, formula, result) -> None:
    masked = mask(question)
    value = compute(formula, masked.quantities)
    assert result_of(masked, value) == result
    found = check(masked, value)
    assert found.turned == (value.value != result)
    assert found.negative == (result < 0)
    assert answer_of(masked, formula).value == str(result)


def test_suspicion_rises_with_what_speaks_against_an_answer() -> None:
    formulas = ["b*c=A;a-A", "a-b-c", "a-b", "b-a-c"]
    found = [answer_of(QUESTION, formula) for formula in formulas]
    suspicions = [each.checks.suspicion for each in found if each.checks]
    assert suspicions[0] == 0
    assert suspicions == sorted(suspicions)
    assert [each.failed for each in found] == [False, False, False, True]
    assert answer_of(QUESTION, "z").failed
    assert not answer_of(QUESTION, "?").failed
