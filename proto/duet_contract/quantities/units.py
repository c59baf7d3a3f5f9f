"""Units of quantities, and whether a formula adds what does not belong together."""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Literal

from duet_contract.quantities.formula import Constant, Expression, Name
from duet_contract.quantities.labels import LABEL
from duet_contract.quantities.masking import Masked
from duet_contract.quantities.numerals import MONEY_SIGNS, last_before

Dimension = Literal["money", "time", "length", "mass", "volume"]
Dimensions = Counter[Dimension]
"""Powers of dimensions; empty for things that are counted."""

_WORDS: dict[Dimension, str] = {
    "money": "dollar cent euro penny pennies nickel dime quarter buck pound-sterling rupee yen",
    "time": "second minute hour day week month year decade century sec min hr",
    "length": "mile kilometer kilometre meter metre centimeter centimetre millimeter inch foot "
    "feet yard km cm mm",
    "mass": "kilogram gram ounce pound ton tonne kg mg lb lbs oz",
    "volume": "liter litre milliliter millilitre gallon quart pint cup tablespoon teaspoon ml",
}
_DIMENSION: dict[str, Dimension] = {
    form: dimension
    for dimension, words in _WORDS.items()
    for word in words.split()
    for form in (word, f"{word}s", f"{word}es")
}
MONEY_WORDS = tuple(sorted(word for word, what in _DIMENSION.items() if what == "money"))
# What may follow a label without being what is counted.
_NO_UNIT_WORDS = (
    "a an the and or of in on at to for from by with than more less fewer is are was were times as "
    "if then each per but so that which who she he they it his her their its left other percent "
    "had has have"
)
_NO_UNIT = frozenset(_NO_UNIT_WORDS.split())
POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
"""Words before a unit of length that say its power."""
_POWER = rf"(?:({'|'.join(POWERS)})\.?[\s-]+)?"
_AFTER = re.compile(
    rf"[\s-]*{_POWER}([^\W\d_]+)(?:[\s-]+(?:per|an|a|each)[\s-]+([^\W\d_]+))?", re.IGNORECASE
)
# Measures that need not be whole, and whose unit is not followed.
_OTHER_MEASURES = (
    "acre hectare degree calorie watt kilowatt volt byte kilobyte megabyte gigabyte mph kph knot"
)
_MEASURES = frozenset(form for word in _OTHER_MEASURES.split() for form in (word, f"{word}s"))
_TIME_OF_DAY = re.compile(r"\s*(?:(o['\u2019]?\s?clock)|([ap])\.?m)\b", re.IGNORECASE)
_MONEY_SIGN_AFTER = re.compile(r"\s*[€£¥₹$]")


def is_measure(word: str) -> bool:
    """Return whether a word is a unit of measure, so that a result in it need not be whole."""
    return word.lower() in _DIMENSION or word.lower() in _MEASURES


def unit_of_word(word: str, power: str | None = None) -> Dimensions:
    """Return the unit that a word names; empty if it names things that are counted.

    Args:
        word: such as "feet".
        power: what is before it, if it says a power: "square".
    """
    dimension = _DIMENSION.get(word.lower())
    return Counter({dimension: POWERS.get((power or "").lower(), 1)} if dimension else ())


def times_of_day(masked: Masked) -> dict[str, str]:
    """Return the quantities that are times of day, by name: "am", "pm", "o'clock", or "" (as 14:30).

    Examples:
        >>> from duet_contract.quantities import mask
        >>> times_of_day(mask("from 9 am to 14:30, or from 3 to 5 o'clock"))
        {'a': 'am', 'b': '', 'd': "o'clock"}
    """
    found: dict[str, str] = {}
    kinds = {quantity.name: quantity.kind for quantity in masked.quantities}
    for place in LABEL.finditer(masked.text):
        after = _TIME_OF_DAY.match(masked.text, place.end())
        if place[1] in kinds and (after or kinds[place[1]] == "time"):
            half = after[2] if after else None
            found[place[1]] = f"{half.lower()}m" if half else "o'clock" if after else ""
    return found


def units(masked: Masked) -> dict[str, Dimensions]:
    """Return the units of the quantities whose next word or sign says one; by name.

    Examples:
        >>> from duet_contract.quantities import mask
        >>> {name: dict(unit) for name, unit in units(mask("$3 for 2 pens in 5 minutes")).items()}
        {'a': {'money': 1}, 'b': {}, 'c': {'time': 1}}
    """
    found: dict[str, Dimensions] = {}
    names = {quantity.name for quantity in masked.quantities}
    for place in LABEL.finditer(masked.text):
        unit = _unit_of(masked.text, *place.span())
        if unit is not None and place[1] in names:
            found[place[1]] = unit
    return found


def _unit_of(text: str, start: int, end: int) -> Dimensions | None:
    if last_before(text, start) in MONEY_SIGNS or _MONEY_SIGN_AFTER.match(text, end):
        return Counter({"money": 1})
    if _TIME_OF_DAY.match(text, end):
        return Counter({"time": 1})
    follows = _AFTER.match(text, end)
    if not follows or follows[2].lower() in _NO_UNIT:
        return None
    unit = unit_of_word(follows[2], follows[1])
    if follows[3] and (per := _DIMENSION.get(follows[3].lower())):
        unit[per] -= 1
    return unit


def adds_both(expression: Expression, names: Collection[str]) -> bool:
    """Return whether two of the names are added to each other.

    Examples:
        >>> from duet_contract.quantities.formula import parse
        >>> adds_both(parse("a+b")[0].expression, {"a", "b"})
        True
    """
    if isinstance(expression, Constant | Name):
        return False
    here = [each.name for each in expression.operands if isinstance(each, Name)]
    added = expression.sign == "+" and len(here) > 1 and set(here) <= set(names)
    return added or any(adds_both(each, names) for each in expression.operands)


def add_unlike(
    expression: Expression, known: Mapping[str, Dimensions]
) -> tuple[Dimensions | None, bool]:
    """Follow units through an expression.

    Args:
        expression: one step's.
        known: units of names; others are unknown and fit everything.

    Returns:
        The result's unit, None if unknown; and whether unlike units are added or compared.
    """
    if isinstance(expression, Constant):
        return None, False
    if isinstance(expression, Name):
        return known.get(expression.name), False
    results = [add_unlike(operand, known) for operand in expression.operands]
    of = [unit for unit, _ in results]
    unlike = any(bad for _, bad in results)
    if expression.sign in ("*", "/", "//"):
        left, right = of
        if left is None or right is None:
            return None, unlike
        sign = 1 if expression.sign == "*" else -1
        product = Counter(left)
        for dimension, power in right.items():
            product[dimension] += sign * power
        return Counter({each: power for each, power in product.items() if power}), unlike
    if expression.sign == "%":
        return None, unlike
    said = [unit for unit in of if unit is not None]
    return (said[0] if said else None), unlike or any(unit != said[0] for unit in said)
