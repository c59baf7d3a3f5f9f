"""Finds the equations of a worked solution, annotated (`<<48/2=24>>`) or in its text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from duet_contract.errors import FormulaError
from duet_contract.quantities import compute

_ANNOTATION = re.compile(r"<<([^<>=]*)=([^<>=]*)>>")
_WRITTEN = re.compile(r"=\s*\$?(?!\s*\$?<<)(-?[\d,]*\.?\d+)")
_NUMBER = re.compile(r"\d+(?:\.\d+)?|\.\d+")
_SYMBOL = re.compile(rf"({_NUMBER.pattern}|[-+*/()%])|(?:[^-+*/()%.\d]+|\.)")
_SIGNS = str.maketrans({"\u00d7": "*", "\u00f7": "/", "\u2212": "-", "\u2013": "-"})
_TIMES = re.compile(r"(?<=[\d)\s])[xX](?=[\d($.\s])")
_SENTENCE = re.compile(r"[.;:!?]\s|,\s|\n|=")
_NEAR = 60
"""Characters before an equation that count as its context."""


@dataclass(frozen=True)
class Equation:
    """One step of a solution."""

    symbols: tuple[str, ...]
    """Numbers and signs of the left side."""
    result: Fraction
    """Value of the right side, exactly."""
    near: str
    """The text before it."""


def find_equations(solution: str) -> list[Equation]:
    """Find the equations of a solution, in order.

    Left out are bare numbers, and equations in the text whose left side does not give the right.

    Raises:
        FormulaError: An annotation is not an equation.

    Examples:
        >>> found = find_equations("Half is 48/2 = <<48/2=24>>24, and 24 pens + 2 = 26.")
        >>> ["".join(equation.symbols) for equation in found]
        ['48/2', '24+2']
    """
    found: list[tuple[int, Equation]] = []
    for place in _ANNOTATION.finditer(solution):
        symbols, result = read_symbols(place[1]), _value(place[2])
        if symbols is None or result is None:
            raise FormulaError("an annotation is not an equation")
        if sum(map(is_number, symbols)) > 1:
            near = solution[max(0, place.start() - _NEAR) : place.start()]
            found.append((place.start(), Equation(tuple(symbols), result, near)))
    found += _in_text(solution)
    return [equation for _, equation in sorted(found, key=lambda each: each[0])]


def is_number(symbol: str) -> bool:
    """Whether the symbol is a number, not a sign."""
    return bool(_NUMBER.fullmatch(symbol))


def read_symbols(text: str) -> list[str] | None:
    """Split an annotation into numbers and signs; return None if it has anything else."""
    plain = _TIMES.sub("*", text.translate(_SIGNS).replace("$", "").replace(",", ""))
    symbols: list[str] = []
    for found in _SYMBOL.finditer(plain.strip()):
        if found[1]:
            symbols.append(found[1])
        elif found[0].strip():
            return None
    return symbols


def _in_text(solution: str) -> Iterator[tuple[int, Equation]]:
    """Yield equations that no annotation repeats: "57 + 10 = 67 people", "44(.50)=22"."""
    for place in _WRITTEN.finditer(solution):
        before = solution[: place.start()]
        if before.rfind("<<") > before.rfind(">>"):
            continue  # inside an annotation
        left = _SENTENCE.split(_ANNOTATION.sub("", before))[-1]
        result = _value(place[1])
        symbols = _matching(left, result) if result is not None else None
        if symbols and result is not None:
            near = solution[max(0, place.start() - _NEAR) : place.start()]
            yield place.start(), Equation(symbols, result, near)


def _matching(left: str, result: Fraction) -> tuple[str, ...] | None:
    """Find the longest suffix whose numbers and signs give the result; skip words."""
    plain = _TIMES.sub("*", left.translate(_SIGNS).replace("$", "").replace(",", ""))
    symbols = [found[1] for found in _SYMBOL.finditer(plain) if found[1]]
    for start in range(len(symbols)):
        end = _multiplied(symbols[start:])
        if sum(map(is_number, end)) < 2:
            return None
        # The signs of "2/50*100% = 4%" only name the unit.
        for signs in (end, [symbol for symbol in end if symbol != "%"]):
            try:
                if compute("".join(signs), ()).value == result:
                    return tuple(signs)
            except FormulaError:
                continue
    return None


def _multiplied(symbols: list[str]) -> list[str]:
    """Insert the multiplication sign that is left out before parentheses."""
    written: list[str] = []
    for symbol in symbols:
        if symbol == "(" and written and (is_number(written[-1]) or written[-1] == ")"):
            written.append("*")
        written.append(symbol)
    return written


def _value(text: str) -> Fraction | None:
    try:
        return Fraction(text.replace("$", "").replace(",", "").replace("%", "").strip())
    except (ValueError, ZeroDivisionError):
        return None
