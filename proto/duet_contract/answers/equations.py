"""Reads the number that a statement such as "x = 42" or "12·17 = 204" makes."""

import re
from dataclasses import replace
from fractions import Fraction

from duet_contract.answers.arithmetic import evaluate
from duet_contract.answers.quantities import Quantity, read_quantity

_EQUAL = re.compile(r"\s*(?:=+|≈)\s*")
_LABEL = re.compile(r"[^\W\d_][^\d=:()+*/^]{0,80}?(?::|\b(?:is|are|equals))\s+(?=\S)")
_ABOUT = Fraction(1, 100)


def stated(text: str, *, computed: bool = True) -> tuple[Quantity, ...]:
    """The number of a statement, read from end to end.

    Of an equation every side that is a number counts, and all of them must agree; other sides may
    be anything. Around "≈" two readings are given where they differ by a hundredth at most.

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
    if not numbers or ("" in sides and len(sides) > 1):
        return ()
    first = numbers[0].value
    apart = abs(first) * (_ABOUT if "≈" in text else 0)
    return tuple(numbers) if all(abs(each.value - first) <= apart for each in numbers) else ()


def _number(side: str, *, computed: bool) -> Quantity | None:
    number = read_quantity(side)
    if number is None and (label := _LABEL.match(side)):
        number = read_quantity(side[label.end() :])
    if number and not (number.divides and computed):
        return replace(number, divides=False)
    value = None if computed else evaluate(side)
    return None if value is None else Quantity(value, None, 0)
