r"""Read numbers with their units; a text counts only if all of it is one number."""

import re
from dataclasses import dataclass
from fractions import Fraction

from duet_contract.answers.plain import MAX_LENGTH
from duet_contract.answers.units import Unit, conversion, read_unit

ROUNDED_FROM = 4
"""Decimals; a reference of so many may be rounded, such as 0.6667."""
TOLERANCE = Fraction(1, 10_000)
"""Of such a reference, relative, or half of its last decimal; others are compared exactly."""
_MAX_EXPONENT = 1_000

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d{1,3}(?: \d{3})+|\d{1,3}(?:'\d{3})+|\d+)"
_CURRENCY = r"US\$|[$€£¥₹]|USD(?= )|EUR(?= )|GBP(?= )"
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
NUMBER = (
    rf"(?:(?P<mixed>\d+)[ ](?P<above2>[1-9]\d*)[ ]?/[ ]?(?P<below2>\d+)(?![\d.,/])"
    rf"|(?P<above>{_DIGITS})[ ]?/[ ]?\(?(?P<below>-?{_DIGITS})\)?(?![\d.,/])"
    rf"|10\^(?P<ten>[-+]?\d+)"
    rf"|(?P<digits>{_DIGITS}(?:\.\d*)?|\.\d+)"
    r"(?:[eE](?P<e>[-+]?\d+)(?![\w.])|[ ]?[x×·*][ ]?10\^\(?(?P<power>[-+]?\d+)\)?)?)"
)
"""A number without its sign, in plain text."""
_QUANTITY = re.compile(
    rf"(?P<sign>[-+]?)[ ]?(?P<currency>{_CURRENCY})?[ ]?(?P<sign2>[-+]?){NUMBER}(?P<rest>[\s\S]*)"
)
_SCALE = re.compile(rf" ?\b(?P<scale>{'|'.join(_SCALES)})\b")
_REMARK = re.compile(r" \([^()]*[^\W\d_]{2}[^()]*\)$")
_QUALIFIER = re.compile(
    r"(?:(?:about|around|approximately|approx\.?|roughly|exactly|precisely|only|just)\s|~|≈)\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class WrittenQuantity:
    """A number as it is written."""

    value: Fraction
    """Without its unit: 25 for "25%"."""
    unit: Unit | None
    """None for a bare number."""
    decimals: int
    """Digits after the point."""
    divides: bool = False
    """Whether it is a fraction with a whole value, such as 48/2: an uncomputed division."""

    @property
    def values(self) -> frozenset[Fraction]:
        """Possible values: 25% is 25 where a percentage is asked for, else 1/4."""
        of_hundred = {self.value / 100} if self.unit and self.unit.is_percent else set()
        return frozenset({self.value, *of_hundred})


def read_quantity(text: str) -> WrittenQuantity | None:
    """Read a number, with a currency, a unit, a remark in brackets or "about".

    Args:
        text: plain text, from `plain`.

    Returns:
        The number; None if the text is not a number from end to end, or its exponent is over 1,000.

    Examples:
        >>> read_quantity("-1,234.5").value
        Fraction(-2469, 2)
        >>> read_quantity("2 1/2 hours").value
        Fraction(5, 2)
        >>> read_quantity("1,2,3") is None
        True
        >>> read_quantity("1e400000000") is None
        True
    """
    if len(text) > MAX_LENGTH:
        return None
    text = _outer(text.strip())
    if qualifier := _QUALIFIER.match(text):
        text = text[qualifier.end() :]
    found = _QUANTITY.fullmatch(text)
    return quantity_of(found, found["rest"]) if found else None


def quantity_of(found: re.Match[str], rest: str) -> WrittenQuantity | None:
    """Return the number that a match of `NUMBER` with its sign found, with the unit that `rest` is.

    Returns:
        The number; None if `rest` is not a unit, or the number is too large.
    """
    if found["sign"] and found["sign2"]:
        return None
    value = _value(found)
    if value is None:
        return None
    if scale := _SCALE.match(rest):
        value, rest = value * 10 ** _SCALES[scale["scale"]], rest[scale.end() :]
    rest = _REMARK.sub("", rest)
    attached = rest[:1] not in ("", " ", ".")
    rest = rest.strip(" .,;!")
    unit = read_unit(f"{found['currency'] or ''} {rest}", attached=attached)
    if unit is None:
        return None
    if "-" in (found["sign"], found["sign2"]):
        value = -value
    decimals = len((found["digits"] or "").partition(".")[2])
    divides = bool(found["above"]) and value.denominator == 1
    return WrittenQuantity(value, unit if unit.known or unit.words else None, decimals, divides)


def same_quantity(reference: WrittenQuantity, given: WrittenQuantity) -> bool:
    """Return whether an answer's number is the reference's.

    Exact, but for a reference of `ROUNDED_FROM` decimals or more, which may be rounded: equal
    within `TOLERANCE` or half of its last decimal, whichever is more. A unit that one side alone
    has is accepted; two must agree or convert exactly. A percentage equals its number and its
    hundredth.

    Examples:
        >>> same_quantity(read_quantity("5 cm"), read_quantity("0.05 m"))
        True
        >>> same_quantity(read_quantity("0.25"), read_quantity("25%"))
        True
        >>> same_quantity(read_quantity("2/3"), read_quantity("0.6667"))
        False
    """
    factor = conversion(reference.unit, given.unit)
    if factor is None:
        return False
    rounded = reference.decimals >= ROUNDED_FROM
    half = Fraction(1, 2 * 10**reference.decimals)
    both = reference.unit is not None and given.unit is not None
    wanted = {reference.value} if both else reference.values
    found = {given.value * factor} if both else given.values
    return any(
        abs(one - other) <= (max(abs(one) * TOLERANCE, half) if rounded else 0)
        for one in wanted
        for other in found
    )


def _value(found: re.Match[str]) -> Fraction | None:
    """Without its sign; sizes are checked on the text."""
    power = found["ten"] or found["e"] or found["power"]
    if power and (len(power) > len(str(_MAX_EXPONENT)) + 1 or abs(int(power)) > _MAX_EXPONENT):
        return None
    ten = Fraction(10) ** int(power) if power else Fraction(1)
    if found["ten"]:
        return ten
    if found["digits"]:
        return Fraction(_bare(found["digits"])) * ten
    whole = found["mixed"] or "0"
    above, below = found["above2"] or found["above"], found["below2"] or found["below"]
    top, bottom = int(_bare(above)), int(_bare(below))
    if bottom == 0 or (found["mixed"] and not 0 < top < bottom):
        return None
    return int(whole) + Fraction(top, bottom)


def _bare(digits: str) -> str:
    return digits.replace(",", "").replace(" ", "").replace("'", "")


def _outer(text: str) -> str:
    """Without brackets around the whole and without closing punctuation."""
    text = text.rstrip(" .,;!")
    is_one = text[:1] == "(" and text.find(")") == len(text) - 1 and text.find("(", 1) < 0
    return text[1:-1].strip() if is_one else text
