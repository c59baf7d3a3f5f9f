"""Units of quantities, and whether a formula adds what does not belong together."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Literal

from duet_contract.quantities.formula import Constant, Expression, Name
from duet_contract.quantities.labels import LABEL
from duet_contract.quantities.masking import Masked
from duet_contract.quantities.numerals import last_before

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
_AFTER = re.compile(r"[\s-]*([^\W\d_]+)(?:[\s-]+(?:per|an|a|each)[\s-]+([^\W\d_]+))?")
_MONEY_SIGNS = frozenset("$€£¥₹")
_MONEY_SIGN_AFTER = re.compile(r"\s*[€£¥₹$]")


def is_measure(word: str) -> bool:
    """Return whether a word is a unit of measure, so that a result in it need not be whole."""
    return word.lower() in _DIMENSION


def unit_of_word(word: str) -> Dimensions:
    """Return the unit that a word names; empty if it names things that are counted."""
    dimension = _DIMENSION.get(word.lower())
    return Counter({dimension: 1} if dimension else ())


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
    if last_before(text, start) in _MONEY_SIGNS or _MONEY_SIGN_AFTER.match(text, end):
        return Counter({"money": 1})
    follows = _AFTER.match(text, end)
    if not follows or follows[1].lower() in _NO_UNIT:
        return None
    unit = unit_of_word(follows[1])
    if follows[2] and (per := _DIMENSION.get(follows[2].lower())):
        unit[per] -= 1
    return unit


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
