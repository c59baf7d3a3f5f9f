"""Compute formulas exactly, in rational numbers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from duet_contract.errors import FormulaError
from duet_contract.quantities.formula import (
    Constant,
    Expression,
    Name,
    Operation,
    Step,
    names_in,
    parse,
)
from duet_contract.quantities.masking import Quantity
from duet_contract.quantities.rounding import plain

MOST_BITS = 256
"""Maximum bits of numerator and denominator of any result, which bounds time and memory."""


@dataclass(frozen=True)
class Work:
    """One computed step."""

    name: str
    """Name of the step."""
    formula: str
    """The step with labels: `a-b*c`."""
    numbers: str
    """The step with numbers: `20-3*4`."""
    result: Fraction
    """Exact result of the step."""

    def __str__(self) -> str:
        return f"{self.numbers}={plain(self.result)}"


@dataclass(frozen=True)
class Value:
    """What a formula gives."""

    value: Fraction
    """The result, exactly."""
    work: tuple[Work, ...]
    """Every step, the answer last."""
    steps: tuple[Step, ...]
    """The parsed formula."""

    @property
    def used(self) -> frozenset[str]:
        """Names that contribute to the answer: labels, and steps that it is computed from."""
        expressions = {step.name: step.expression for step in self.steps}
        found: set[str] = set()
        wanted = set(names_in(self.steps[-1].expression))
        while wanted:
            name = wanted.pop()
            found.add(name)
            if name in expressions:
                wanted |= names_in(expressions[name]) - found
        return frozenset(found)

    @property
    def is_difference(self) -> bool:
        """Whether the formula is one quantity less another, and nothing else."""
        last = self.steps[-1].expression
        if len(self.steps) > 1 or not isinstance(last, Operation) or last.sign != "-":
            return False
        return all(isinstance(operand, Name) for operand in last.operands)

    def __str__(self) -> str:
        return "; ".join(map(str, self.work))


def compute(formula: str, quantities: Sequence[Quantity]) -> Value:
    """Compute a formula over the quantities of a question.

    Args:
        formula: as the reasoner sent it.
        quantities: of the masked question (`mask`).

    Returns:
        The exact result and every step.

    Raises:
        NoFormula: the reasoner found no formula.
        FormulaError: the text is not a formula, has an unknown name, or divides by zero; or a
            result is larger than the bound.

    Examples:
        >>> from duet_contract.quantities import mask
        >>> asked = mask("Nina had 40 euros and bought 3 books for 8 euros each.")
        >>> str(compute("b*c=A;a-A", asked.quantities))
        '3*8=24; 40-24=16'
    """
    values = {quantity.name: quantity for quantity in quantities}
    results: dict[str, Fraction] = {}
    work: list[Work] = []
    steps = parse(formula)
    for step in steps:
        if step.name in values:
            raise FormulaError(
                f"the formula names a step {step.name}, which is a label of the question"
            )
        # In order, so that of several faults the same one is named each time.
        names = sorted(names_in(step.expression))
        known = {name: _known(name, values, results) for name in names}
        results[step.name] = _evaluate(step.expression, known)
        numbers = "".join(
            _written(known[symbol]) if symbol in known else symbol for symbol in step.symbols
        )
        work.append(Work(step.name, "".join(step.symbols), numbers, results[step.name]))
    return Value(work[-1].result, tuple(work), steps)


def _known(name: str, values: Mapping[str, Quantity], results: Mapping[str, Fraction]) -> Fraction:
    if name in results:
        return results[name]
    if name not in values:
        raise FormulaError(
            f"the formula uses {name}, which is neither a label of the question nor an earlier step"
        )
    value = values[name].value
    if value is None:
        raise FormulaError(
            f"the formula computes with label {name}, which is a {values[name].kind}"
        )
    return value


def _written(value: Fraction) -> str:
    text = plain(value)
    return f"({text})" if value < 0 or "/" in text else text


def _evaluate(expression: Expression, known: Mapping[str, Fraction]) -> Fraction:
    if isinstance(expression, Constant):
        return expression.value
    if isinstance(expression, Name):
        return known[expression.name]
    operands = [_evaluate(operand, known) for operand in expression.operands]
    result = _apply(expression.sign, operands)
    if max(result.numerator.bit_length(), result.denominator.bit_length()) > MOST_BITS:
        raise FormulaError(f"the formula gives a number of more than {MOST_BITS} bits")
    return result


def _apply(sign: str, operands: Sequence[Fraction]) -> Fraction:
    first, last = operands[0], operands[-1]
    if sign in ("/", "//", "mod") and not last:
        raise FormulaError("the formula divides by zero")
    match sign:
        case "+":
            return first + last
        case "-":
            return first - last
        case "*":
            return first * last
        case "/":
            return first / last
        case "//":
            return Fraction(first // last)
        case "mod":
            return first % last
        case "%":
            return first / 100
        case "negative":
            return -first
        case "abs":
            return abs(first)
        case "up":
            return Fraction(math.ceil(first))
        case "down":
            return Fraction(math.floor(first))
        case "round":
            return Fraction(math.floor(first + Fraction(1, 2)))
        case "min":
            return min(operands)
        case _:
            return max(operands)
