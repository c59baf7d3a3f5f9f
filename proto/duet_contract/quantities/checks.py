"""Check of a computed answer: features that tell right answers from wrong ones."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction

from duet_contract.quantities.computing import Value
from duet_contract.quantities.masking import Masked
from duet_contract.quantities.rounding import asked, asked_unit, asks_time_of_day
from duet_contract.quantities.units import (
    Dimensions,
    add_unlike,
    adds_both,
    times_of_day,
    units,
)

# A quantity of these kinds often only names something.
_NAMING = frozenset({"word", "ordinal", "date", "exponent", "code"})
# Asks for what has no sign, unlike "What is the temperature?".
_AMOUNT = re.compile(r"\bdifference\b|\bhow (?:much|many|far|long|old|tall|high)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Checks:
    """What is suspicious about an answer."""

    unused: int
    """Quantities that the answer does not depend on; words, dates and ordinals do not count."""
    unused_share: float
    """Of all such quantities, 0 to 1."""
    idle_steps: int
    """Steps that the answer does not depend on."""
    constants: int
    """Numbers that the formula has and the question has not."""
    turned: bool
    """The result is a difference the other way round (`result_of`)."""
    negative: bool
    """The result, or a step, is below zero."""
    fractional: bool
    """Things that come whole are counted, and the result is not a whole number."""
    unlike_units: bool
    """Quantities of unlike units are added or compared, or two times of day are added."""
    wrong_unit: bool
    """The result is in another unit than the question asks for; False if either is unknown."""

    @property
    def impossible(self) -> bool:
        """Whether the result cannot be right: there are never -3 or 2.5 things."""
        return self.negative or self.fractional

    @property
    def suspicion(self) -> float:
        """How much speaks against the answer, from 0: the higher, the less often it is right."""
        return (
            4.0 * self.impossible
            + 2.0 * self.unlike_units
            + 2.0 * self.wrong_unit
            + 2.0 * self.unused_share
            + 1.0 * (self.idle_steps > 0)
            + 1.0 * self.turned
            + 0.5 * self.constants
        )

    def features(self) -> dict[str, float]:
        """Return the checks as numbers."""
        return {name: float(value) for name, value in asdict(self).items()}


def result_of(masked: Masked, value: Value) -> Fraction:
    """Return the number that answers the question.

    Which of two labels is the larger number, the reasoner cannot know. A formula that is their
    difference and negative, for a question that asks for an amount, is the other way round. From
    one time of day to the next one, the clock has passed twelve.

    Args:
        masked: the question.
        value: what the formula gives.

    Examples:
        >>> from duet_contract.quantities import compute, mask
        >>> question = mask("Ann has 3 pens, Tom has 8. What is the difference?")
        >>> result_of(question, compute("a-b", question.quantities))
        Fraction(5, 1)
        >>> question = mask("He slept from 10 to 6 o'clock. How long?")
        >>> result_of(question, compute("b-a", question.quantities))
        Fraction(8, 1)
    """
    amount = asked(masked.text).sort != "number" or _AMOUNT.search(masked.text)
    if not amount or not value.is_difference:
        return value.value
    return value.value + 12 if _passes_twelve(masked, value) else abs(value.value)


def _passes_twelve(masked: Masked, value: Value) -> bool:
    """Return whether a negative difference is of times of day, the later in the text first."""
    names = [each.name for each in masked.quantities if each.name in value.used]
    later_first = [symbol for symbol in value.steps[-1].symbols if symbol in names] == names[::-1]
    return -12 < value.value < 0 and later_first and bool(times_of_day(masked).keys() & set(names))


def time_of_day(masked: Masked, value: Value) -> str | None:
    """Return how the question says the time of day that a result is counted from; None without one.

    Examples:
        >>> from duet_contract.quantities import compute, mask
        >>> question = mask("It is 3 pm and was open for 4 hours. When did it open?")
        >>> time_of_day(question, compute("a-b", question.quantities))
        'pm'
    """
    if not asks_time_of_day(masked.text):
        return None
    said = [each for name, each in times_of_day(masked).items() if name in value.used]
    # The difference of two is a time that passed.
    return said[0] if len(said) == 1 else None


def check(masked: Masked, value: Value) -> Checks:
    """Check a computed answer against its question.

    Args:
        masked: the question.
        value: what the formula gives.

    Examples:
        >>> from duet_contract.quantities import compute, mask
        >>> question = mask("Tom has 5 apples and 3 pears. How many apples are left if he eats 7?")
        >>> found = check(question, compute("a-c", question.quantities))
        >>> found.unused, found.turned
        (1, True)
    """
    optional = masked.from_notes if any(q.name in value.used for q in masked.quantities) else 0
    own = masked.quantities[optional:]
    expected = [each.name for each in own if each.kind not in _NAMING]
    unused = sum(name not in value.used for name in expected)
    last = value.steps[-1].name
    symbols = [symbol for step in value.steps for symbol in step.symbols]
    turned = result_of(masked, value) != value.value
    known = units(masked)
    unit, unlike = _followed(value, known)
    wanted = asked_unit(masked.text)
    # Hours before midnight are those of the day before.
    amounts = value.work[:-1] if time_of_day(masked, value) is not None else value.work
    return Checks(
        unused=unused,
        unused_share=unused / max(1, len(expected)),
        idle_steps=sum(step.name not in value.used and step.name != last for step in value.steps),
        constants=sum(symbol[:1].isdigit() or symbol[:1] == "." for symbol in symbols),
        turned=turned,
        negative=not turned and any(step.result < 0 for step in amounts),
        fractional=asked(masked.text).sort in ("count", "coins") and value.value.denominator > 1,
        unlike_units=unlike or _adds_times_of_day(value, masked, known),
        wrong_unit=unit is not None and wanted is not None and unit != wanted,
    )


def _followed(value: Value, known: Mapping[str, Dimensions]) -> tuple[Dimensions | None, bool]:
    """Return the result's unit, None if unknown, and whether any step adds unlike units."""
    names = dict(known)
    unit: Dimensions | None = None
    unlike = False
    for step in value.steps:
        unit, bad = add_unlike(step.expression, names)
        unlike |= bad
        if unit is not None:
            names[step.name] = unit
    return unit, unlike


def _adds_times_of_day(value: Value, masked: Masked, known: Mapping[str, Dimensions]) -> bool:
    """Return whether any step adds two times of day: 9:15 and 11:45, but not 1:30 hours and 2:15 hours."""
    times = {name for name, half in times_of_day(masked).items() if half or not known.get(name)}
    return any(adds_both(step.expression, times) for step in value.steps)
