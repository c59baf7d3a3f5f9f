"""Random questions, each twice: the same words in the same notation, with other numbers.

What a device sends of the two must be the same bytes.
"""

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from duet_tools.privacy.judge import TEENS, TENS, UNITS


@dataclass(frozen=True)
class Twins:
    """A question with two choices of numbers."""

    question: str
    """With its own numbers."""
    other: str
    """The same with other numbers."""


_UNITS, _TEENS, _TENS = UNITS.split(), TEENS.split(), TENS.split()
_ROMAN_NUMERALS = "II III IV VI VII VIII IX XI XII XIII XIV XVI XIX XXI XXIV XXXVIII MCMXC MMXXIV"
_ROMANS = _ROMAN_NUMERALS.split()
_SCRIPTS = ("0123456789", "٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९", "０１２３４５６７８９", "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗")  # noqa: RUF001
_SIGNS = ("①②③⑩㊿", "ⅡⅣⅧⅩⅫ", "½¼¾⅔⅛", "²³⁴⁵⁹", "三五七九十", "⚀⚁⚂⚃⚅", "🕐🕒🕕🕛")
_PLAIN_WORDS = (
    "Ann Bo the pens has sells how many [a] [b] [ab] A-level no. (left) x= and of with half twice "
    "a-dozen both first third e.g. [NAME] {=} % $ kg Q&A :-) ... \u00e9t\u00e9 na\u00efve 🙂 <|im_end|> ?"
)
# After a number in words, "one" alone would be its end.
_WORDS = (*_PLAIN_WORDS.split(), "not one")


def _digits(rng: random.Random, count: int, script: str = _SCRIPTS[0]) -> str:
    """Digits without a leading zero."""
    return rng.choice(script[1:]) + "".join(rng.choices(script, k=count - 1))


def _in_script(script: str) -> Callable[[random.Random], str]:
    return lambda rng: _digits(rng, rng.randint(1, 6), script)


def _one_of(choices: str | list[str]) -> Callable[[random.Random], str]:
    return lambda rng: rng.choice(choices)


def _shaped(shape: str) -> Callable[[random.Random], str]:
    """Return a notation: `9` in the shape is a digit, `1` one that is not zero."""
    return lambda rng: "".join(
        rng.choice("0123456789")
        if each == "9"
        else rng.choice("123456789")
        if each == "1"
        else each
        for each in shape
    )


def _below_hundred(rng: random.Random) -> str:
    return rng.choice(
        [rng.choice(_UNITS + _TEENS + _TENS), f"{rng.choice(_TENS)}-{rng.choice(_UNITS)}"]
    )


_SHAPES_WITHOUT_BLANKS = (
    "19 1,999 1.999,99 1'999 1,99,999 199.99 1,9 .9 19% $19 €1.99 19€ £1,999.99 ₹19 19:59 "
    "1999-19-19 19/19/1999 19.19.1999 19th 1e9 13kg 19-year-old 1-9 -19 x^9 A1F9 v1.9.9 #19 "
    "+19 (9)19 DE19 1_9 19.5k 1\ufe0f\u20e3 19² 1\u200b999 1\u00ad9 9."
)
_SHAPES = (
    *_SHAPES_WITHOUT_BLANKS.split(),
    "1\u00a0999",
    "1\u202f999",
    "1999 1999 1999 1999 19",
    "+19 (9)199 1999999",
    "DE19 1999 9999 9999 9999 19",
    "1 million",
    "19 hundred thousand",
    "1 and a half",
)
NOTATIONS: tuple[Callable[[random.Random], str], ...] = (
    *map(_shaped, _SHAPES),
    *map(_in_script, _SCRIPTS),
    *map(_one_of, _SIGNS),
    _one_of(_ROMANS),
    _below_hundred,
    lambda rng: _below_hundred(rng).upper(),
    lambda rng: f"{rng.choice(_UNITS)} hundred and {_below_hundred(rng)}",
    lambda rng: f"{_below_hundred(rng)} thousand",
    lambda rng: f"{rng.choice(_UNITS)} and a half",
    lambda rng: f"{rng.choice(_TENS)}-{rng.choice(['first', 'second', 'third', 'ninth'])}",
    lambda rng: f"{rng.choice(_TENS)}{rng.choice(_UNITS)}",
    lambda rng: f"{rng.choice(_UNITS)}fold",
    lambda rng: f"{rng.choice(_UNITS)}-sevenths",
    lambda rng: f"{rng.randint(1, 8)}/{rng.randint(9, 99)}",
    lambda rng: f"{rng.randint(1, 99)} {rng.randint(1, 8)}/{rng.randint(9, 99)}",
    lambda rng: f"{rng.randint(1, 99)}\u2044{rng.randint(100, 999)}",
    lambda rng: "".join(chr(0xFEE0 + ord(each)) for each in rng.choice(_UNITS)),
)
"""Each writes one number, or one group of numbers, in a notation of its own."""


def mixtures(rng: random.Random, count: int) -> Iterator[Twins]:
    """Yield questions of random words and numbers; one of fifty has forty numbers."""
    for number in range(count):
        parts = 40 if number % 50 == 0 else rng.randint(1, 8)
        own = [rng.choice(_WORDS)]
        other = own.copy()
        for _ in range(parts):
            notation = rng.choice(NOTATIONS)
            words = rng.choices(_WORDS, k=1 if parts == 40 else rng.randint(1, 4))
            own += [notation(rng), *words]
            other += [notation(rng), *words]
        yield Twins(" ".join(own), " ".join(other))


_FRACTION = re.compile(r"([0-9]+)([/\u2044])([0-9]+)")
_NUMBER_WORD = re.compile(rf"\b(?:{'|'.join((*_UNITS, *_TEENS, *_TENS))})\b", re.IGNORECASE)


def with_other_numbers(question: str, rng: random.Random) -> Twins:
    """Return a question, and the same with other digits and number words in every place.

    A digit stays zero or becomes another one; a fraction of two numbers stays below one or not, so
    that "2 1/2" remains one number; a word is replaced by one that can have its place.
    """

    def fraction(found: re.Match[str]) -> str:
        top, sign, bottom = found.groups()
        if len(top) != len(bottom) or int(top) == int(bottom):
            return found[0]
        low, high = _replaced(top, rng, "1234"), _replaced(bottom, rng, "5678")
        return f"{low}{sign}{high}" if int(top) < int(bottom) else f"{high}{sign}{low}"

    def word(found: re.Match[str]) -> str:
        own = found[0]
        kind = next(each for each in (_UNITS, _TEENS, _TENS) if own.lower() in each)
        chosen = rng.choice(kind)
        return chosen.upper() if own.isupper() else chosen.title() if own[0].isupper() else chosen

    parts: list[str] = []
    place = 0
    for found in _FRACTION.finditer(question):
        parts += _replaced(question[place : found.start()], rng), fraction(found)
        place = found.end()
    parts.append(_replaced(question[place:], rng))
    return Twins(question, _NUMBER_WORD.sub(word, "".join(parts)))


def _replaced(text: str, rng: random.Random, digits: str = "123456789") -> str:
    return "".join(rng.choice(digits) if each in "123456789" else each for each in text)
