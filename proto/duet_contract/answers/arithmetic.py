"""Evaluate arithmetic exactly, within bounds, for a device that computes."""

import re
from collections.abc import Callable
from fractions import Fraction

_TOKEN = re.compile(r"\s*(\d+(?:,\d{3})*(?:\.\d*)?|\.\d+|\*\*|[-+*·×/÷^()])")
_MAX_TOKENS = 200
_MAX_DEPTH = 30
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
    tokens: list[str] = []
    position, text = 0, text.rstrip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if not found or len(tokens) == _MAX_TOKENS:
            return None
        tokens.append(found[1].replace(",", ""))
        position = found.end()
    try:
        return _Sum(tokens).value()
    except (_RefusedError, ZeroDivisionError):
        return None


class _Sum:
    """Recursive descent; the depth is that of brackets and of powers of powers."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0

    def value(self) -> Fraction:
        value = self._sum()
        if self._next != len(self._tokens):
            raise _RefusedError
        return value

    def _take(self, *wanted: str) -> str | None:
        if self._next < len(self._tokens) and self._tokens[self._next] in wanted:
            self._next += 1
            return self._tokens[self._next - 1]
        return None

    def _deeper(self, read: Callable[[], Fraction]) -> Fraction:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _RefusedError
        value = read()
        self._depth -= 1
        return value

    def _sum(self) -> Fraction:
        value = self._product()
        while sign := self._take("+", "-"):
            other = self._product()
            value = _bounded(value + other if sign == "+" else value - other)
        return value

    def _product(self) -> Fraction:
        value = self._signed()
        while sign := self._take("*", "·", "×", "/", "÷"):
            other = self._signed()
            value = _bounded(value / other if sign in "/÷" else value * other)
        return value

    def _signed(self) -> Fraction:
        if sign := self._take("-", "+"):
            value = self._deeper(self._signed)
            return -value if sign == "-" else value
        base = self._bracketed()
        if not self._take("^", "**"):
            return base
        return _power(base, self._deeper(self._signed))

    def _bracketed(self) -> Fraction:
        if self._take("("):
            value = self._deeper(self._sum)
            if not self._take(")"):
                raise _RefusedError
            return value
        if self._next == len(self._tokens) or self._tokens[self._next][-1] not in "0123456789.":
            raise _RefusedError
        self._next += 1
        return _bounded(Fraction(self._tokens[self._next - 1]))


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _MAX_BITS:
        raise _RefusedError
    return value


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if exponent.denominator != 1 or bits * abs(exponent) > _MAX_BITS:
        raise _RefusedError
    return base ** int(exponent)
