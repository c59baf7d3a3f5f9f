"""Parse formulas: the language in which a reasoner says how an answer is computed.

    formula    = step { (";" | ".") step }
    step       = expression [ "=" NAME ] | NAME "=" expression
    expression = term { ("+" | "-") term }
    term       = factor { ("*" | "/" | "//" | "mod") factor }
    factor     = "-" factor | operand [ "%" ]
    operand    = NUMBER | NAME | "(" expression ")" | FUNCTION "(" expression { "," expression } ")"

`a%` is a hundredth of a, `//` the whole part of a quotient, `mod` the remainder. A name is a label
of the question (`a`) or an earlier step (`A`). Without a name, steps are called A, B, C in order.
The last step is the answer.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from string import ascii_uppercase

from duet_contract.errors import FormulaError, NoFormula
from duet_contract.quantities.labels import FUNCTIONS

NO_FORMULA = "?"
"""What a reasoner writes instead, if no formula over the quantities answers the question."""
MOST_CHARACTERS = 500
MOST_STEPS = 26
DEEPEST = 20
"""Parentheses and signs inside one another."""

_SYMBOL = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?|\.\d+)|(?P<name>[A-Za-z]+)|(?P<sign>//|[-+*/%=;.,()]))",
    re.ASCII,
)
# The times, middle dot, division and minus signs, and the en dash.
_LIKE_ASCII = str.maketrans(
    {"\u00d7": "*", "\u00b7": "*", "\u00f7": "/", "\u2212": "-", "\u2013": "-"}
)
_MOST_DIGITS = 12


@dataclass(frozen=True)
class Constant:
    """A number that the formula itself has."""

    value: Fraction
    """Its value, exactly."""


@dataclass(frozen=True)
class Name:
    """A quantity or an earlier step."""

    name: str
    """Its name in formulas."""


@dataclass(frozen=True)
class Operation:
    """An operator or function with its operands; "%" and "negative" have one."""

    sign: str
    """Operator or name of the function."""
    operands: tuple["Expression", ...]
    """Operands in order."""


Expression = Constant | Name | Operation


@dataclass(frozen=True)
class Step:
    """One expression and the name of its result."""

    name: str
    """Name of the result."""
    expression: Expression
    """The parsed expression."""
    symbols: tuple[str, ...]
    """The expression as it was written."""


def parse(formula: str) -> tuple[Step, ...]:
    """Parse a formula.

    Args:
        formula: text, as a reasoner wrote it.

    Returns:
        At least one step.

    Raises:
        NoFormula: the reasoner found no formula.
        FormulaError: the text is not a formula, or it is larger than any word problem needs.

    Examples:
        >>> [step.name for step in parse("a*b=A;c-A")]
        ['A', 'B']
    """
    if formula.strip() == NO_FORMULA:
        raise NoFormula("the reasoner found no formula that answers the question")
    if len(formula) > MOST_CHARACTERS:
        raise FormulaError(
            f"the formula has {len(formula)} characters, the limit is {MOST_CHARACTERS}"
        )
    steps: list[Step] = []
    for written in _split(_symbols(formula)):
        if len(steps) == MOST_STEPS:
            raise FormulaError(f"the formula has more than {MOST_STEPS} steps")
        name, symbols = _named(written, ascii_uppercase[len(steps)])
        if any(step.name == name for step in steps):
            raise FormulaError(f"the formula names two steps {name}")
        steps.append(Step(name, _Parser(symbols).parse(), tuple(symbols)))
    if not steps:
        raise FormulaError("the formula is empty")
    return tuple(steps)


def names_in(expression: Expression) -> frozenset[str]:
    """Return all names that an expression uses."""
    if isinstance(expression, Name):
        return frozenset({expression.name})
    if isinstance(expression, Operation):
        return frozenset().union(*map(names_in, expression.operands))
    return frozenset()


def _symbols(formula: str) -> list[str]:
    text = formula.translate(_LIKE_ASCII).rstrip()
    symbols: list[str] = []
    place = 0
    while place < len(text):
        found = _SYMBOL.match(text, place)
        if not found:
            raise FormulaError(
                f"the formula has {text[place:].lstrip()[0]!r}, which formulas cannot contain"
            )
        symbols.append(found[0].strip())
        place = found.end()
    return symbols


def _split(symbols: list[str]) -> list[list[str]]:
    steps: list[list[str]] = [[]]
    for symbol in symbols:
        if symbol in ";.":
            steps.append([])
        else:
            steps[-1].append(symbol)
    return [step for step in steps if step]


def _named(written: list[str], usual: str) -> tuple[str, list[str]]:
    """Return the name of a step, and its expression's symbols."""
    if "=" not in written:
        return usual, written
    if len(written) > 2 and written[-2] == "=" and _is_name(written[-1]):
        name, symbols = written[-1], written[:-2]
    elif len(written) > 2 and written[1] == "=" and _is_name(written[0]):
        name, symbols = written[0], written[2:]
    else:
        raise FormulaError('the formula has "=" without a name for the result')
    if "=" in symbols:
        raise FormulaError('the formula has "=" twice in one step')
    return name, symbols


def _is_name(symbol: str) -> bool:
    return symbol.isalpha() and symbol not in FUNCTIONS


class _Parser:
    """Recursive descent over the symbols of one expression."""

    def __init__(self, symbols: list[str]) -> None:
        self._symbols, self._place, self._depth = symbols, 0, 0

    def parse(self) -> Expression:
        if not self._symbols:
            raise FormulaError("the formula has a step without an expression")
        expression = self._expression()
        if self._place < len(self._symbols):
            raise FormulaError(
                f"the formula has {self._symbols[self._place]!r} where an operator belongs"
            )
        return expression

    def _next(self) -> str:
        return self._symbols[self._place] if self._place < len(self._symbols) else ""

    def _take(self) -> str:
        symbol = self._next()
        self._place += 1
        return symbol

    def _expect(self, symbol: str) -> None:
        if self._take() != symbol:
            raise FormulaError(f"the formula lacks {symbol!r}")

    def _expression(self) -> Expression:
        self._depth += 1
        if self._depth > DEEPEST:
            raise FormulaError(f"the formula is nested deeper than {DEEPEST}")
        left = self._term()
        while self._next() in ("+", "-"):
            left = Operation(self._take(), (left, self._term()))
        self._depth -= 1
        return left

    def _term(self) -> Expression:
        left = self._factor()
        while self._next() in ("*", "/", "//", "mod"):
            left = Operation(self._take(), (left, self._factor()))
        return left

    def _factor(self) -> Expression:
        if self._next() == "-":
            self._take()
            self._depth += 1
            if self._depth > DEEPEST:
                raise FormulaError(f"the formula is nested deeper than {DEEPEST}")
            operand = self._factor()
            self._depth -= 1
            return Operation("negative", (operand,))
        operand = self._operand()
        if self._next() == "%":
            self._take()
            return Operation("%", (operand,))
        return operand

    def _operand(self) -> Expression:
        symbol = self._take()
        if symbol == "(":
            inside = self._expression()
            self._expect(")")
            return inside
        if symbol in FUNCTIONS and symbol != "mod":
            return self._call(symbol)
        if _is_name(symbol):
            return Name(symbol)
        if symbol[:1].isdigit() or (symbol[:1] == "." and len(symbol) > 1):
            if len(symbol) > _MOST_DIGITS:
                raise FormulaError(f"the formula has a number of more than {_MOST_DIGITS} digits")
            return Constant(Fraction(symbol))
        where = f"{symbol!r}" if symbol else "its end"
        raise FormulaError(f"the formula has {where} where a number or a label belongs")

    def _call(self, function: str) -> Expression:
        self._expect("(")
        operands = [self._expression()]
        while self._next() == ",":
            self._take()
            operands.append(self._expression())
        self._expect(")")
        if (function in ("min", "max")) != (len(operands) > 1):
            raise FormulaError(f"the formula gives {function} {len(operands)} operands")
        return Operation(function, tuple(operands))
