"""Read the number that a statement such as "x = 42" or "12·17 = 204" makes."""

import re
from dataclasses import replace
from fractions import Fraction

from duet_contract.answers.arithmetic import evaluate
from duet_contract.answers.quantities import WrittenQuantity, read_quantity, same_quantity

_EQUAL = re.compile(r"\s*(?:=+|≈)\s*")
_LABEL = re.compile(r"[^\W\d_][^\d=:()+*/^]{0,80}?(?::|\b(?:is|are|equals))\s+(?=\S)")
# Characters that a name may have: "x_1", "f(2)".
_OF_NAME = re.compile(r"_\w+|\([^()]*\)")
_UNKNOWN = re.compile(r"(?<![^\W\d_])(?<!\\)[^\W\d_](?![^\W\d_])")
_ABOUT = Fraction(1, 100)


def stated(text: str, *, computed: bool = True) -> tuple[WrittenQuantity, ...]:
    """Return the number of a statement, read from end to end.

    Of an equation every side that is a number counts, and all of them must agree; another side may
    be a name or arithmetic, but no formula with numbers and unknowns, as of "x + 2 = 20". Around
    "≈" two readings are given where they differ by a hundredth at most.

    Args:
        text: plain text.
        computed: whether a number must be computed; if not, arithmetic is evaluated. A fraction
            that comes out whole, such as 48/2, is arithmetic.

    Returns:
        The readings; none if the text states no number, or several that differ.

    Examples:
        >>> [str(each.value) for each in stated("12·17 = 204")]
        ['204']
        >>> stated("12·17")
        ()
        >>> [str(each.value) for each in stated("12·17", computed=False)]
        ['204']
    """
    sides = _EQUAL.split(text)
    numbers = [number for side in sides if (number := _number(side, computed=True))]
    if not numbers and not computed:
        numbers = [number for side in sides if (number := _number(side, computed=False))]
    if not numbers or (len(sides) > 1 and any(not side or _is_formula(side) for side in sides)):
        return ()
    agree = _about if "≈" in text else same_quantity
    first = numbers[0]
    agreed = all(agree(first, each) or agree(each, first) for each in numbers)
    return tuple(numbers) if agreed else ()


def _about(one: WrittenQuantity, other: WrittenQuantity) -> bool:
    return abs(one.value - other.value) <= abs(one.value) * _ABOUT


def _is_formula(side: str) -> bool:
    """Return whether a side has numbers and unknowns, and is not a number with a letter as unit."""
    bare = _OF_NAME.sub("", side)
    mixed = _UNKNOWN.search(bare) and any(character.isdecimal() for character in bare)
    return bool(mixed) and read_quantity(side) is None


def _number(side: str, *, computed: bool) -> WrittenQuantity | None:
    number = read_quantity(side)
    if number is None and (label := _LABEL.match(side)):
        number = read_quantity(side[label.end() :])
    if number and not (number.divides and computed):
        return replace(number, divides=False)
    value = None if computed else evaluate(side)
    return None if value is None else WrittenQuantity(value, None, 0)
