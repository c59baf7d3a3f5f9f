import unicodedata
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duet_contract.quantities import mask, unmask
from duet_contract.quantities.labels import FUNCTIONS, LABEL

DIGITS = "Nd", "Nl", "No"
# Text near the notation: digits of several scripts, separators, labels, number words.
FRAGMENTS = st.sampled_from(
    [
        *"0123456789.,/:-−⁄'½¾²³٣५Ⅳ①㊿％%$€[]()abex \u00a0\u202f\ue000\ue001",
        *("[a]", "[b]", "one", "two", "twenty", "hundred", " and ", "a half", "th", "rd", " of "),
        *("e5", "million", "thirds", "-first", "1,000", "2024-05-01", "9:30", "kg"),
    ]
)
NOTATION = st.lists(FRAGMENTS, max_size=30).map("".join)


@given(st.one_of(NOTATION, st.text(max_size=80)))
def test_masking_is_reversible_and_leaves_no_digit(question: str) -> None:
    masked = mask(question)
    assert unmask(masked) == question
    assert not [char for char in masked.text if unicodedata.category(char) in DIGITS]
    names = [quantity.name for quantity in masked.quantities]
    assert len(set(names)) == len(names)
    assert not [name for name in names if f"[{name}]" in question]
    assert not FUNCTIONS.intersection(names)


@given(st.one_of(NOTATION, st.text(max_size=80)))
def test_a_masked_question_has_nothing_more_to_mask(question: str) -> None:
    masked = mask(question)
    assert not mask(masked.text).quantities
    assert [place[1] for place in LABEL.finditer(masked.text) if masked.find(place[1])] == [
        quantity.name for quantity in masked.quantities
    ]


@given(st.text(max_size=40), st.text("0123456789", min_size=1, max_size=5))
def test_numbers_do_not_show_in_the_masked_text(words: str, digits: str) -> None:
    """Two questions that differ in their digits alone are the same to the reasoner."""
    question = f"{words} has {digits} pens"
    other = question.replace(digits, "7" * len(digits)) if digits not in words else question
    assert mask(question).text == mask(other).text


@pytest.mark.parametrize(
    ("question", "masked", "values"),
    [
        ("How much is it?", "How much is it?", []),
        ("", "", []),
        ("3kg of rice", "[a]kg of rice", [3]),
        ("a 10-year-old dog", "a [a]-year-old dog", [10]),
        ("1/2 cup", "[x] cup", [Fraction(1, 2)]),
        ("2 1/2 cups", "[x] cups", [Fraction(5, 2)]),
        ("12 15/3", "[a] [x]", [12, 5]),
        ("½ or 2½ or 2 ½", "[x] or [y] or [z]", [Fraction(1, 2), Fraction(5, 2), Fraction(5, 2)]),
        ("1⁄4 mile", "[x] mile", [Fraction(1, 4)]),
        ("1,5 litres", "[a] litres", [Fraction(3, 2)]),
        ("0,500 litres", "[a] litres", [Fraction(1, 2)]),
        ("3,4,5", "[a],[b],[c]", [3, 4, 5]),
        ("$1,000.50", "$[a]", [Fraction(2001, 2)]),
        ("1.000,50 €", "[a] €", [Fraction(2001, 2)]),
        ("1'000 and 1\u202f000 and 1.000.000 and 1,00,000",
         "[a] and [b] and [c] and [d]", [1000, 1000, 10**6, 10**5]),
        (".5 of it. 5.", "[a] of it. [b].", [Fraction(1, 2), 5]),
        ("x² and 5 m³", "x[a] and [b] m[c]", [2, 5, 3]),
        ("20% off", "[a]% off", [20]),
        ("9:30 am", "[a] am", [Fraction(19, 2)]),
        ("on 2024-05-01 or 12/25/2024", "on [a] or [b]", [None, None]),
        ("version 1.2.3", "version [a]", [None]),
        ("the 3rd of 21st", "the [a] of [b]", [3, 21]),
        ("2e3 and 1e99999", "[a] and [b]e[c]", [2000, 1, 99999]),
        ("5 million people", "[a] people", [5 * 10**6]),
        ("it is -5, 8-3, 8 -3", "it is [a], [b]-[c], [d] -[e]", [-5, 8, 3, 8, 3]),
        ("COVID-19", "COVID-[a]", [19]),
        ("٣٥ apples, Ⅳ, ①", "[a] apples, [b], [c]", [35, 4, 1]),
        ("1/0", "[x]", [None]),
        ("9" * 31, "[a]", [None]),
        ("9" * 100_000, "[a]", [None]),
        ("Is [a] a label? 5", "Is [a] a label? [b]", [5]),
        ("two-thirds and two thirds of it", "[x] and [y] of it", [Fraction(2, 3)] * 2),
        ("two and a half, one and a half", "[x], [y]", [Fraction(5, 2), Fraction(3, 2)]),
        ("two hundred and six, a hundred", "[a], [b]", [206, 100]),
        ("twenty-five, five hundred thousand and one", "[a], [b]", [25, 500_001]),
        ("one or two", "one or [a]", [2]),
        ("two three", "[a] [b]", [2, 3]),
        ("Forty TWO", "[a]", [42]),
        ("three dozen eggs", "[a] dozen eggs", [3]),
        ("the twenty-first, the thirty-third", "the [a], the [b]", [21, 33]),
        ("\u017fix, f\u0131ve, 5 m\u0131ll\u0131on", "[a], [b], [c]", [6, 5, 5 * 10**6]),
        ("三十五 or 五", "[a] or [b]", [None, 5]),
        ("5 trillion, five trillion", "[a], [b]", [5 * 10**12] * 2),
        ("12 thousand five hundred", "[a] [b]", [12_000, 500]),
        ("2 and a half million, two and a half million", "[a], [b]", [2_500_000] * 2),
        ("5thousand, 5 hundred thousand", "[a], [b]", [5000, 500_000]),
        ("tenfold, two twenties", "[a]fold, [b] [c]", [10, 2, 20]),
        ("three sixteenths of it", "[x] of it", [Fraction(3, 16)]),
        ("fourty, ninty, thirtyfive, _five_", "[a], [b], [c], _[d]_", [40, 90, 35, 5]),
        ("five-hundred-and-six, two\nhundred", "[a], [b]", [506, 200]),
        ("Ｔｗｏ ｈｕｎｄｒｅｄ, 𝐭𝐰𝐨, forty\u2011two", "[a], [b], [c]", [200, 2, 42]),
        ("t\u200bwo, for\u00adty, 1\u2060000", "[a], [b], [c]", [2, 40, 1000]),
        ("３．５, ٣٫٥, ١٬٠٠٠", "[a], [b], [c]", [Fraction(7, 2), Fraction(7, 2), 1000]),
        ("🔟 💯 🕒 ⚂ 🔞 5️⃣", "[a] [b] [c] [d] [e] [f]\ufe0f\u20e3", [None] * 5 + [5]),
        ("㍙ ㏠ ㋀ ⒌ 🄆 but 5㎡", "[a] [b] [c] [d] [e] but [f]㎡", [None, None, None, 5, 5, 5]),
        ("World War II, Henry VIII, MCMXCIV", "World War [a], Henry [b], [c]", [2, 8, 1994]),
        ("I, V, XL, CD, MIX, MIMI, vi, IIII", "I, V, XL, CD, MIX, MIMI, vi, IIII", []),
        ("4XIV and II5, a hundred1", "[a][b] and [c][d], [e][f]", [4, 14, 2, 5, 100, 1]),
        ("1\u03322\u0332 pens, 1\u034f000, t\ufe0fwo", "[a]\u0332 pens, [b], [c]", [12, 1000, 2]),
        ("five\u200bpens, XIV\u00adth", "[a]\u200bpens, [b]\u00adth", [5, 14]),
        ("by fives, in sixes, a threesome, fortyish, sixpence",
         "by [a]s, in [b]es, a [c]some, [d]ish, [e]pence", [5, 6, 3, 40, 6]),
        ("two thousands, often tense", "[a]s, often tense", [2000]),
        ("a ratio of 7:11, the odds are 2:15:30", "a ratio of [a]:[b], the odds are [c]:[d]:[e]",
         [7, 11, 2, 15, 30]),
        ("The ratio of pens to pads is 10:45. At 9:30.",
         "The ratio of pens to pads is [a]:[b]. At [c].", [10, 45, Fraction(19, 2)]),
        ("In this ratio at 3:10 pm, 1:75", "In this ratio at [a] pm, [b]:[c]",
         [Fraction(19, 6), 1, 75]),
        ("12 pm to 12:30 p.m., 12:15am, 11:30 am", "[a] pm to [b] p.m., [c]am, [d] am",
         [0, Fraction(1, 2), Fraction(1, 4), Fraction(23, 2)]),
        ("12 amps, 12 pens, 12 a", "[a] amps, [b] pens, [c] a", [12, 12, 12]),
        ("$5k, \u20ac 2.5M, \u00a31bn", "$[a], \u20ac [b], \u00a3[c]", [5000, 2_500_000, 10**9]),
        ("a 10k run, 5K, $5kg, $2m + 3$", "a [a]k run, [b]K, $[c]kg, $[d]m + [e]$",
         [10, 5, 5, 2, 3]),
    ],
)  # fmt: skip
def test_what_a_quantity_is(question: str, masked: str, values: list[Fraction | None]) -> None:
    found = mask(question)
    assert found.text == masked
    assert [quantity.value for quantity in found.quantities] == values


@pytest.mark.parametrize("glue", ["", "X", "9", "\u200b", "12:"])
def test_no_character_of_any_number_stays(glue: str) -> None:
    """Every one that Unicode has, between others that may join it."""
    numbers = [char for char in map(chr, range(0x110000)) if unicodedata.category(char) in DIGITS]
    assert len(numbers) > 1500
    for number in numbers:
        question = f"{glue}{number}{glue}"
        masked = mask(question)
        assert unmask(masked) == question
        assert not [char for char in masked.text if unicodedata.category(char) in DIGITS], question


@pytest.mark.parametrize(
    "words", ["half", "twice", "a dozen", "a third", "both", "the first", "someone", "one",
              "several hundred", "zero", "a quarter", "double"]
)  # fmt: skip
def test_relations_stay_words(words: str) -> None:
    assert mask(words).text == words


def test_forty_quantities_and_beyond_have_labels() -> None:
    masked = mask(" ".join(str(number) for number in range(1000)))
    names = [quantity.name for quantity in masked.quantities]
    assert names[:3] == ["a", "b", "c"]
    assert names[19:22] == ["t", "aa", "ab"]
    assert len(set(names)) == 1000
    assert masked.find("ab") == masked.quantities[21]
    assert masked.find("A") is None


@pytest.mark.slow
def test_a_long_question_is_masked_in_reasonable_time() -> None:
    for question in (
        "1 " * 50_000,
        "1,1" * 30_000,
        "twenty " * 20_000,
        "1/" * 50_000,
        "a hundred and " * 10_000,
    ):
        assert unmask(mask(question)) == question


def test_placeholders_of_a_redaction_stay() -> None:
    masked = mask("[NAME_1] has 11 pens, [NAME_12] has 1.", kept=["[NAME_1]", "[NAME_12]"])
    assert masked.text == "[NAME_1] has [a] pens, [NAME_12] has [b]."
    assert unmask(masked) == "[NAME_1] has 11 pens, [NAME_12] has 1."
    assert mask("[NAME_1]").text == "[NAME_[a]]"
