"""Say what a question asks for, and write a result as that: people whole, money to the cent."""

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from duet_contract.quantities.units import (
    MONEY_WORDS,
    POWERS,
    Dimensions,
    is_measure,
    unit_of_word,
)

Sort = Literal["count", "coins", "money", "percent", "fraction", "clock", "day clock", "number"]
# Of these money words there are whole ones alone; cents need neither be whole nor have two decimals.
_COINS = frozenset(
    ["penny", "pennies", "nickel", "nickels", "dime", "dimes", "quarter", "quarters"]
)
_CENTS = frozenset(("cent", "cents"))
_MOST_PLACES, _FINEST = 6, 12
_CENT = Fraction(1, 100)
_SENTENCES = re.compile(r"(?<=[.?!])\s+")
_ASKS = re.compile(r"\b(how|what|find|calculate|determine)\b", re.IGNORECASE)
_MANY = re.compile(
    r"\bhow many\s+(?:more\s+|fewer\s+|less\s+|other\s+)?"
    rf"(?:({'|'.join(POWERS)}|fluid|nautical)\.?\s+)?([^\W\d_]+)",
    re.IGNORECASE,
)
# Unlike "how many times did he run".
_TIMES_AS = re.compile(
    r"\bhow many\s+times\s+(?:as\b|(?:more|less)\b[^?]*\bthan\b"
    r"|(?!(?:after|either|ever|her|never|other|over|per|together|under)\b)[^\W\d_]+er\b)",
    re.IGNORECASE,
)
_FRACTION = re.compile(
    r"\b(?:what|which)\s+(?:fraction|proportion|part)\s+of\b"
    r"|\bas\s+a\s+(?:common\s+|reduced\s+|simplified\s+)?fraction\b",
    re.IGNORECASE,
)
_TIME_OF_DAY = re.compile(
    r"\b(?:what|which)\s+(?:hour|time)\b(?!\s+(?:zone|period))"
    r"|(?:^|[,;]\s*)(?:and\s+|then\s+)?when\s+(?:can|could|do|does|did|is|must|should|was|will|would)\b",
    re.IGNORECASE,
)
_HOW = re.compile(r"\bhow\b", re.IGNORECASE)
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
    """`count` and `coins`: things that come whole; `clock`: hours of a day, of which 13 is 1 o'clock; `day clock`:
    hours up to 24; `number`: anything else."""
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
    if _FRACTION.search(sentence):
        return Asked("fraction", None)
    if many := _MANY.search(sentence):
        what = many[2].lower()
        if what in MONEY_WORDS and what not in _CENTS:
            return Asked("coins" if what in _COINS else "money", None)
        if is_measure(what) or _TIMES_AS.search(sentence):
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
    if not many or what.sort in ("percent", "fraction"):
        return None
    return unit_of_word(many[2], many[1])


def asks_time_of_day(question: str) -> bool:
    """Return whether a question asks when something is, by the clock.

    Examples:
        >>> [asks_time_of_day(each) for each in ("It is 9:30. When does it end?", "How far is it?")]
        [True, False]
    """
    sentence = _SENTENCES.split(question.strip())[-1]
    return bool(_TIME_OF_DAY.search(sentence)) and not _HOW.search(sentence)


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
        fractions as such, times of day with minutes, other numbers with two decimals unless they
        are exact with six. Small numbers have as many decimals as two digits need.

    Examples:
        >>> written(Fraction(7, 2), Asked("count", "up"))
        '4'
        >>> written(Fraction(7, 2), Asked("money", None))
        '3.50'
        >>> written(Fraction(29, 2), Asked("clock", None)), written(Fraction(1, 300), Asked("number", None))
        ('2:30', '0.0033')
    """
    if what.sort in ("clock", "day clock") and (value * 60).denominator == 1:
        return _time_of_day(value, half=what.sort == "clock")
    if value.denominator == 1:
        return str(value.numerator)
    if what.sort == "count" and what.rounding:
        return str(math.ceil(value) if what.rounding == "up" else math.floor(value))
    if what.sort == "fraction":
        return str(value)
    if what.sort == "money" and abs(value) >= _CENT:
        return _decimals(value, 2, keep_zeros=True)
    places = 2
    while abs(value) * 10**places < 10 and places < _FINEST:
        places += 1
    return _exact(value) or _decimals(value, places, keep_zeros=False)


def plain(value: Fraction) -> str:
    """Write a number exactly: as a decimal if it ends within six places, else as a fraction.

    Examples:
        >>> plain(Fraction(5, 2)), plain(Fraction(1, 3))
        ('2.5', '1/3')
    """
    return str(value.numerator) if value.denominator == 1 else _exact(value) or str(value)


def _time_of_day(value: Fraction, *, half: bool) -> str:
    hours, minutes = divmod(int(value * 60), 60)
    hours %= 12 if half else 24
    if half:
        hours = hours or 12
        return f"{hours}:{minutes:02}" if minutes else str(hours)
    return f"{hours}:{minutes:02}"


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
