"""Say what a question asks for, and round a result to it: people whole, money to the cent."""

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from duet_contract.quantities.units import MONEY_WORDS, Dimensions, is_measure, unit_of_word

Sort = Literal["count", "money", "percent", "number"]
_MOST_PLACES = 6
_SENTENCES = re.compile(r"(?<=[.?!])\s+")
_ASKS = re.compile(r"\b(how|what|find|calculate|determine)\b", re.IGNORECASE)
_MANY = re.compile(r"\bhow many\s+(?:more\s+|fewer\s+|less\s+|other\s+)?([^\W\d_]+)", re.IGNORECASE)
_MONEY = re.compile(
    rf"\b(?:money|cost|costs|price|pay|pays|paid|spend|spent|earn|earns|earned|{'|'.join(MONEY_WORDS)})\b",
    re.IGNORECASE,
)
# After a number or a label, it says of what: "What is [a]% of [b]?".
_PERCENT = re.compile(
    r"(?<![\d\]}])(?<![\d\]}][ -])(?:\bpercent(?:age)?\b|\bper cent\b|%)", re.IGNORECASE
)
_UP = re.compile(
    r"\b(?:need|needs|needed|require|required|necessary|at least|minimum)\b", re.IGNORECASE
)
_DOWN = re.compile(
    r"\b(?:full|whole|complete|completely|at most|maximum|can \w+ (?:make|buy|afford|fill))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Asked:
    """What a question asks for."""

    sort: Sort
    """`count`: things that come whole; `number`: anything else."""
    rounding: Literal["up", "down"] | None
    """How a count that is not whole is rounded; None if the question does not say."""


def asked(question: str) -> Asked:
    """Read what a question asks for from its wording.

    Args:
        question: with quantities or with labels; it makes no difference.

    Examples:
        >>> asked("A bus holds [a] people. How many buses are needed for [b] people?")
        Asked(sort='count', rounding='up')
        >>> asked("How much money does she have left?").sort
        'money'
    """
    sentence = _asking(question)
    if _PERCENT.search(_ASKS.split(sentence, maxsplit=1)[-1]):
        return Asked("percent", None)
    if many := _MANY.search(sentence):
        if many[1].lower() in MONEY_WORDS:
            return Asked("money", None)
        if is_measure(many[1]):
            return Asked("number", None)
        up, down = _UP.search(sentence), _DOWN.search(sentence)
        return Asked("count", "down" if down else "up" if up else None)
    return Asked("money" if _MONEY.search(sentence) else "number", None)


def asked_unit(question: str) -> Dimensions | None:
    """Return the unit that a question asks for; empty for a count, None if it names no unit.

    Examples:
        >>> [dict(asked_unit(f"How many {word} are left?")) for word in ("pens", "hours")]
        [{}, {'time': 1}]
    """
    what = asked(question)
    if what.sort == "money":
        return unit_of_word("dollar")
    many = _MANY.search(_asking(question))
    return unit_of_word(many[1]) if many and what.sort != "percent" else None


def _asking(question: str) -> str:
    """Return the last sentence that asks; the whole text if none does."""
    sentences = [each for each in _SENTENCES.split(question.strip()) if _ASKS.search(each)]
    return sentences[-1] if sentences else question


def written(value: Fraction, what: Asked) -> str:
    """Write a result as an answer.

    Args:
        value: exact.
        what: `asked` of the question.

    Returns:
        Counts rounded where the question says how, money with two decimals unless it is whole,
        other numbers with two decimals unless they are exact with six.

    Examples:
        >>> written(Fraction(7, 2), Asked("count", "up"))
        '4'
        >>> written(Fraction(7, 2), Asked("money", None))
        '3.50'
    """
    if value.denominator == 1:
        return str(value.numerator)
    if what.sort == "count" and what.rounding:
        return str(math.ceil(value) if what.rounding == "up" else math.floor(value))
    if what.sort == "money":
        return _decimals(value, 2, keep_zeros=True)
    exact = _exact(value)
    return exact or _decimals(value, 2, keep_zeros=False)


def plain(value: Fraction) -> str:
    """Write a number exactly: as a decimal if it ends within six places, else as a fraction.

    Examples:
        >>> plain(Fraction(5, 2)), plain(Fraction(1, 3))
        ('2.5', '1/3')
    """
    return str(value.numerator) if value.denominator == 1 else _exact(value) or str(value)


def _exact(value: Fraction) -> str:
    scaled = value * 10**_MOST_PLACES
    return _decimals(value, _MOST_PLACES, keep_zeros=False) if scaled.denominator == 1 else ""


def _decimals(value: Fraction, places: int, *, keep_zeros: bool) -> str:
    """Rounded half away from zero, as money is."""
    scaled = math.floor(abs(value) * 10**places + Fraction(1, 2))
    whole, part = divmod(scaled, 10**places)
    decimals = f"{part:0{places}d}"
    if not keep_zeros:
        decimals = decimals.rstrip("0")
    sign = "-" if value < 0 and scaled else ""
    return f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}"
