"""Units of answers: read from words, compared, and converted where the conversion is exact."""

import re
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction

_BASE: dict[str, tuple[str, dict[str, str]]] = {
    "length": (
        "m",
        {
            "mm millimeter millimetre": "1/1000",
            "cm centimeter centimetre": "1/100",
            "dm decimeter decimetre": "1/10",
            "m meter metre": "1",
            "km kilometer kilometre": "1000",
            "in inch inches": "0.0254",
            "ft foot feet": "0.3048",
            "yd yard": "0.9144",
            "mi mile": "1609.344",
        },
    ),
    "mass": (
        "kg",
        {
            "mg milligram": "1/1000000",
            "g gram": "1/1000",
            "kg kilogram kilo": "1",
            "lb lbs": "0.45359237",
            "oz ounce": "0.028349523125",
        },
    ),
    "time": (
        "s",
        {
            "ms millisecond": "1/1000",
            "s sec second": "1",
            "min minute": "60",
            "h hr hour": "3600",
            "day": "86400",
            "week": "604800",
        },
    ),
    "volume": (
        "l",
        {"ml milliliter millilitre": "1/1000", "cl": "1/100", "l L liter litre": "1"},
    ),
    "dollar": ("dollar", {"$ US$ usd USD dollar buck": "1", "cent ¢": "1/100"}),
    "euro": ("euro", {"€ eur EUR euro": "1"}),
    "sterling": ("£", {"£ gbp GBP quid": "1", "pence": "1/100"}),
    "yen": ("¥", {"¥ jpy JPY yen": "1"}),
    "rupee": ("₹", {"₹ inr INR rupee": "1"}),
    "angle": ("degree", {"° deg degree": "1"}),
    "celsius": ("°C", {"°C celsius Celsius": "1"}),
    "fahrenheit": ("°F", {"°F fahrenheit Fahrenheit": "1"}),
    "percent": ("%", {"% percent pct": "1"}),
}
_KNOWN: dict[str, tuple[str, Fraction]] = {
    name: (kind, Fraction(factor))
    for kind, (_, units) in _BASE.items()
    for names, factor in units.items()
    for name in names.split()
}
_POWERS = {"square": 2, "sq": 2, "cubic": 3}
_ABBREVIATIONS = re.compile(r"\b(?:(per cent)|(kmh|kph)|(mph)|(per(?: an?)?))\b")
_WRITTEN = ("percent", "km/h", "mile/hour", "/")
_SKIPPED = {
    "of", "the", "a", "an", "in", "all", "total", "each", "left", "altogether", "only",
}  # fmt: skip
# Words that make more of a number than a quantity.
_REFUSED = {
    "or", "and", "not", "nor", "but", "either", "versus", "vs", "than", "minus", "plus", "times",
    "over", "factorial", "to", "between", "maybe", "squared", "cubed", "halves", "tenths",
    "hundredths", "thousandths", "if", "is", "are", "was", "equals", "equal",
}  # fmt: skip
_WORD = re.compile(
    r"\s*(?P<sign>[/·])?\s*(?P<word>°[CF]?|US\$|[$€£¥₹¢%]|[^\W\d_]+(?:['-][^\W\d_]+)*)\.?"
    r"(?:\^\(?(?P<power>-?[1-9])\)?)?"
)
_MAX_WORDS = 8


@dataclass(frozen=True)
class Unit:
    """A product of powers of units."""

    factor: Fraction
    """Value of one such unit in the base units of `known`."""
    known: tuple[tuple[str, int], ...]
    """Kinds with their powers, such as length to the 1st over time to the -1st; sorted."""
    words: frozenset[str]
    """Words that this module does not know as units, such as "apple"; singular, lower case."""

    @property
    def is_percent(self) -> bool:
        """Whether it is a percent sign, or a word for it."""
        return self.known == (("percent", 1),)


def read_unit(text: str, *, attached: bool = False) -> Unit | None:
    """Read what follows, or precedes, a number.

    Args:
        text: plain text such as "cm^2", "miles per hour" or "red apples".
        attached: no blank is between number and text; then only known units and "%" are units,
            since "5x" is a product.

    Returns:
        The unit; None if the text is not a unit, such as "or 6", "x", "(a)".

    Examples:
        >>> read_unit("km/h").known
        (('length', 1), ('time', -1))
        >>> read_unit("red apples").words == {"red", "apple"}
        True
        >>> read_unit("x") is None
        True
    """
    text = _ABBREVIATIONS.sub(lambda found: _WRITTEN[(found.lastindex or 1) - 1], text.strip())
    factor, powers, words = Fraction(1), Counter[str](), set[str]()
    position, sign, prefix = 0, 1, 1
    for count in range(_MAX_WORDS + 1):
        if position == len(text):
            left = tuple(sorted((kind, power) for kind, power in powers.items() if power))
            return Unit(factor, left, frozenset(words))
        found = _WORD.match(text, position)
        if not found:
            return None
        position, word = found.end(), found["word"]
        sign = -1 if found["sign"] == "/" else sign
        if word.casefold() in _POWERS:
            prefix = _POWERS[word.casefold()]
            continue
        known = None if count and word == "in" else _known(word)
        if known:
            power = sign * prefix * int(found["power"] or 1)
            powers[known[0]] += power
            factor *= known[1] ** power
        elif word.casefold() in _SKIPPED and (count or not attached):
            continue
        elif (attached and not count) or len(word) < 3 or word.casefold() in _REFUSED:
            return None
        else:
            words.add(_singular(word.casefold()))
        sign = prefix = 1
    return None


def conversion(wanted: Unit | None, given: Unit | None) -> Fraction | None:
    """Return the factor that converts a number in `given` to `wanted`.

    A unit that only one side has changes nothing. Words that are not known units agree if one
    side's words include the other's: "apples" and "red apples".

    Returns:
        The factor; None if the units do not agree, as metres and kilograms, apples and pears.

    Examples:
        >>> conversion(read_unit("cm"), read_unit("m"))
        Fraction(100, 1)
        >>> conversion(read_unit("apples"), read_unit("pears")) is None
        True
    """
    if wanted is None or given is None:
        return Fraction(1)
    wanted, given = _of_pounds(wanted, given), _of_pounds(given, wanted)
    if wanted.known != given.known:
        return None
    if not (wanted.words <= given.words or given.words <= wanted.words):
        return None
    return given.factor / wanted.factor


def _of_pounds(unit: Unit, other: Unit) -> Unit:
    """Pounds, read as the mass or the money that the other unit is."""
    known = {"mass": _KNOWN["lb"][1], "sterling": Fraction(1)}
    if "pound" in unit.words and len(other.known) == 1 and other.known[0][1] == 1:
        kind = other.known[0][0]
        if kind in known and not unit.known:
            return Unit(known[kind], other.known, unit.words - {"pound"})
    return unit


def _known(word: str) -> tuple[str, Fraction] | None:
    if word in _KNOWN:
        return _KNOWN[word]
    small = word.casefold()
    if len(small) < 2:
        return None
    return _KNOWN.get(small) or (_KNOWN.get(_singular(small)) if len(small) > 3 else None)


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word
