"""Evaluate arithmetic exactly, within bounds, for a device that computes."""

import ast
import operator
import re
from collections.abc import Callable, Sequence
from fractions import Fraction

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:,[0-9]{3})*(?:\.[0-9]*)?|\.[0-9]+)|(?P<sign>\*\*|[-+*·×/÷^()]))"
)
_PYTHON = {"·": "*", "×": "*", "÷": "/", "^": "**"}
_MAX_TOKENS = 200
_MAX_BITS = 10_000
"""Of a numerator or denominator, checked before a power is computed."""


class _RefusedError(Exception):
    """The text is not arithmetic, or exceeds the bounds."""


def evaluate(text: str) -> Fraction | None:
    """Return the value of an expression of numbers, `+ - * · × / ÷ ^` and brackets.

    Args:
        text: plain text.

    Returns:
        Its exact value; None if it is anything else, divides by zero, or exceeds the bounds.

    Examples:
        >>> evaluate("12·17")
        Fraction(204, 1)
        >>> evaluate("9^9^9^9") is None
        True
    """
    numbers: list[Fraction] = []
    symbols: list[str] = []
    position, text = 0, text.rstrip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if not found or len(symbols) == _MAX_TOKENS:
            return None
        if number := found["number"]:
            # Python's grammar reads the expression; the number's place stands for its exact value.
            symbols.append(str(len(numbers)))
            numbers.append(Fraction(number.replace(",", "")))
        else:
            symbols.append(_PYTHON.get(found["sign"], found["sign"]))
        position = found.end()
    try:
        return _value(ast.parse(" ".join(symbols), mode="eval").body, numbers)
    # Python's parser reports nesting that is too deep for it as a lack of memory.
    except (_RefusedError, SyntaxError, ZeroDivisionError, MemoryError, RecursionError):
        return None


def _value(node: ast.expr, numbers: Sequence[Fraction]) -> Fraction:
    match node:
        case ast.Constant(int(place)):
            return _bounded(numbers[place])
        case ast.UnaryOp(op, operand):
            return _APPLY[type(op)](_value(operand, numbers))
        case ast.BinOp(left, op, right):
            return _bounded(_APPLY[type(op)](_value(left, numbers), _value(right, numbers)))
    raise _RefusedError


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _MAX_BITS:
        raise _RefusedError
    return value


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if exponent.denominator != 1 or bits * abs(exponent) > _MAX_BITS:
        raise _RefusedError
    return base ** int(exponent)


_APPLY: dict[type[ast.AST], Callable[..., Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: _power,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
