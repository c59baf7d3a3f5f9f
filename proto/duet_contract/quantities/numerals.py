"""Find numbers in text: digits of every script, fractions, times, dates, and English words.

Recognized notation, with the value that is read:

- `3`, `1,000`, `1 000` (no-break spaces), `1'000`, `1.000.000`, `1,00,000`: whole numbers.
- `2.5`, `.5`, `1,5` (a comma that groups no thousands), `1.000,50`, `2e3`: decimals.
- `1/2`, `2 1/2`, `½`, `2½`, also with a fraction slash. `-5` after white space is negative.
- `5 million`, `2 and a half`, `$5k`, `€2.5M`: one number. `3rd`: an ordinal, value 3.
- `9:30`: a time, value 9.5 hours; `am` and `pm` stay in the text, and 12 before them is hour 0.
- `a ratio of 3:10`, `1:75`: two numbers, which cannot be times.
- `2024-05-01`, `12/25/2024`, `1.2.3`, more than 30 digits: no value to compute with.
- `two` to `nine hundred trillion`, `a hundred`, `one and a half`, `two thirds of`, `twenties`,
  `tenfold`, `by fives`, `fortyish`: numbers in words.
- `Ⅳ`, `①`, `²`, `三`; `🔟`, `🕒` and dice, which have no value to compute with.
- `II` to `XXXIX`, and Roman numerals from four letters, in capitals: ordinals.

These stay words, because they state a relation and not a quantity: `one`, `zero`, `once`, `twice`,
`double`, `half`, `a third`, `a quarter`, `a dozen`, `pair`, `both`, `hundreds`, and ordinals of one
word (`first`, `twentieth`). `docs/privacy.md` has the whole list. Units, `%` and currencies stay
next to the number. Number words of other languages stay.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from duet_contract.quantities.folding import IDEOGRAPH, OTHER, VULGAR, Folded, fold, spread
from duet_contract.quantities.number_words import MAGNITUDES, read_words

Kind = Literal["number", "word", "fraction", "ordinal", "time", "date", "exponent", "code"]
MOST_DIGITS = 30
"""Digits; a longer number has no value, since it is not a quantity and slows computation."""

_SUPERSCRIPTS = frozenset("⁰¹²³⁴⁵⁶⁷⁸⁹")

_PART = {"half": Fraction(1, 2), "third": Fraction(1, 3), "quarter": Fraction(1, 4)}
_GAP = r"(?:\s{1,3}|-)"
_MAGNITUDE = rf"(?:{'|'.join(MAGNITUDES)})"
_AND_PART = (
    rf"(?:{_GAP}and{_GAP}(?:a|one){_GAP}(?P<part>half|third|quarter)\b"
    rf"(?:{_GAP}(?P<great>{_MAGNITUDE})\b)?)?"
)
_ROMAN = r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
# Of an amount of money: "10k" may be a distance.
_SHORT = {"k": 10**3, "m": 10**6, "mn": 10**6, "b": 10**9, "bn": 10**9}
MONEY_SIGNS = frozenset("$€£¥₹")
"""Signs of currencies."""
_DAY_HALF = re.compile(r"\s?[ap]\.?m\b", re.IGNORECASE)
# What tells a ratio from a time is before it in its sentence, not far away.
_RATIO = re.compile(r"\b(?:ratios?|proportions?|odds|scale)\b[^.?!;]*$", re.IGNORECASE)
_NEAR = 120
_LETTER = r"[^\W\d_]"
_ROMAN_DIGITS = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_NUMBERS = re.compile(
    rf"""
    (?P<date>\d{{4}}-\d\d?-\d\d?(?!\d) | \d\d?/\d\d?/\d{{2,4}}(?!\d) | \d\d?\.\d\d?\.\d{{4}}(?!\d))
  | (?P<time>(?<!\d)\d\d?:\d\d(?::\d\d)?(?!\d))
  | (?P<sign>(?<![^\s(\[=:])[-\u2212](?=\.?[\d{VULGAR}]))?
    (?:
        (?P<whole>\d+)[ -](?P<top>\d+)[/\u2044](?P<bottom>\d+)(?![/\d])
      | (?P<over>\d+)[/\u2044](?P<under>\d+)(?![/\d])
      | (?:(?P<before>\d+)[ ]?)?(?P<vulgar>{VULGAR})
      | (?P<core>(?<![\w.])\.\d+ | \d+(?:[.,'\u2019\u00a0\u202f\u2009]\d+){{0,12}})
        (?P<exponent>[eE][+-]?\d\d?(?!\w))?
        (?:(?P<ordinal>st|nd|rd|th)\b
          | (?P<short>(?-i:[kKMB]|[mMbB]n))\b
          | (?:{_GAP}?(?P<magnitude>{_MAGNITUDE}(?:{_GAP}{_MAGNITUDE})?)\b)? {_AND_PART})
    )
  | (?P<other>{OTHER})
  | (?P<ideographs>{IDEOGRAPH}+)
  | (?<!{_LETTER})(?-i:(?=[IVX]{{2,}}(?!{_LETTER})|[IVXLCDM]{{4,}}(?!{_LETTER}))(?P<roman>{_ROMAN}))(?!{_LETTER})
    """,
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True)
class Numeral:
    """A number in a text."""

    start: int
    """Index of its first character."""
    end: int
    """Index after its last character."""
    kind: Kind
    """How the number is written."""
    value: Fraction | None
    """None if there is nothing to compute with: dates, codes, too many digits."""


def find_numerals(text: str) -> list[Numeral]:
    """Find every number of a text; together they cover all its digits.

    Args:
        text: any text.

    Returns:
        Numbers in order, without overlap. Every character of category Nd, Nl or No is in one.

    Examples:
        >>> [str(each.value) for each in find_numerals("Two boxes of 1,5kg and 2 1/2 cups")]
        ['2', '3/2', '5/2']
    """
    found = _found(fold(text))
    spaced = spread(text)
    if spaced != text:
        # A character without width may also be the end of a word, as a zero-width space is.
        taken = bytearray(len(text))
        for each in found:
            taken[each.start : each.end] = bytes([1]) * (each.end - each.start)
        more = (each for each in _found(fold(spaced)) if not any(taken[each.start : each.end]))
        found = sorted([*found, *more], key=_start)
    return found


def _found(folded: Folded) -> list[Numeral]:
    found: list[Numeral] = []
    end = 0
    for numeral in sorted([*_digits(folded), *_words(folded.text)], key=_start):
        if numeral.start >= end:
            end = numeral.end
            start, stop = folded.span(numeral.start, end)
            found.append(replace(numeral, start=start, end=stop))
    return found


def _start(numeral: Numeral) -> int:
    return numeral.start


def last_before(text: str, end: int) -> str:
    """Return the last character of `text[:end]` that is not white space, without a copy of it.

    Examples:
        >>> last_before("$ 3", 2), last_before(" 3", 1)
        ('$', '')
    """
    while end and text[end - 1].isspace():
        end -= 1
    return text[end - 1 : end] if end else ""


def _digits(folded: Folded) -> Iterator[Numeral]:
    place = 0
    while match := _NUMBERS.search(folded.text, place):
        numeral = _read(match, folded.visible)
        yield numeral
        place = numeral.end


def _read(match: re.Match[str], text: str) -> Numeral:
    start, end = match.span()
    if match["date"]:
        return Numeral(start, end, "date", None)
    if match["time"]:
        return _read_time(match, text)
    if match["other"]:
        sign = text[start]
        stated = _numeric(sign)
        kind: Kind = "exponent" if sign in _SUPERSCRIPTS else "number"
        return Numeral(start, end, "code" if stated is None else kind, stated)
    if match["ideographs"]:
        return Numeral(start, end, "word", _numeric(text[start]) if end == start + 1 else None)
    if match["roman"]:
        return Numeral(start, end, "ordinal", Fraction(_roman(match["roman"])))
    if match["sign"] and last_before(text, start).isnumeric():
        start += 1  # "5 -3": the minus is not the number's own
        sign_value = 1
    else:
        sign_value = -1 if match["sign"] else 1
    if match["core"]:
        return _read_decimal(match, start, sign_value)
    if match["vulgar"]:
        value = _bounded(match["before"] or "0", _numeric(text[match.start("vulgar")]))
        return Numeral(start, end, "fraction", _times(value, sign_value))
    if match["whole"] and not _is_mixed(match):
        # "3 4/5" is a mixed number, "12 15/3" is two numbers.
        return Numeral(start, match.end("whole"), "number", _whole(match["whole"], sign_value))
    top, bottom = match["top"] or match["over"], match["bottom"] or match["under"]
    share = _share(top, bottom)
    value = _bounded(match["whole"] or "0", share)
    return Numeral(start, end, "fraction", _times(value, sign_value))


def _read_time(match: re.Match[str], text: str) -> Numeral:
    start, end = match.span()
    hours, minutes, *seconds = map(int, match["time"].split(":"))
    in_half = _DAY_HALF.match(match.string, end) is not None
    is_ratio = not in_half and _RATIO.search(text[max(0, start - _NEAR) : start])
    if is_ratio or any(each >= 60 for each in (minutes, *seconds)):
        return Numeral(start, match.string.index(":", start), "number", Fraction(hours))
    value = Fraction(hours) + Fraction(minutes, 60) + Fraction(sum(seconds), 3600)
    return Numeral(start, end, "time", value - 12 if in_half and hours == 12 else value)


def _roman(numeral: str) -> int:
    digits = [_ROMAN_DIGITS[each] for each in numeral]
    return sum(
        -digit if digit < following else digit
        for digit, following in zip(digits, [*digits[1:], 0], strict=True)
    )


def _read_decimal(match: re.Match[str], start: int, sign: int) -> Numeral:
    core = match["core"]
    if match.string.endswith(",", 0, match.start("core")):
        core = core.split(",")[0]  # "3,4,5" is a list
    used, value = read_decimal(core)
    if used < len(match["core"]):
        return Numeral(start, match.start("core") + used, "number", _times(value, sign))
    kind: Kind = "code" if value is None else "number"
    if match["short"]:
        if value is None or last_before(match.string, start) not in MONEY_SIGNS:
            return Numeral(start, match.start("short"), kind, _times(value, sign))
        return Numeral(start, match.end(), kind, value * _SHORT[match["short"].lower()])
    if core == "12" and value is not None and _DAY_HALF.match(match.string, match.end()):
        return Numeral(start, match.end(), "time", Fraction(0))
    if value is not None and match["exponent"]:
        power = int(match["exponent"][1:])
        value = value * Fraction(10) ** power if abs(power) <= MOST_DIGITS else None
    if match["ordinal"]:
        kind = "ordinal"
    if value is not None and match["magnitude"]:
        for word in re.findall(_MAGNITUDE, match["magnitude"].lower()):
            value *= MAGNITUDES[word]
    if value is not None and match["part"]:
        value += _PART[match["part"].lower()]
        value *= MAGNITUDES.get((match["great"] or "").lower(), 1)
    return Numeral(start, match.end(), kind, _times(value, sign))


def read_decimal(core: str) -> tuple[int, Fraction | None]:
    """Read digits with separators.

    Args:
        core: ASCII digits, separated by `.`, `,`, apostrophes or narrow spaces.

    Returns:
        How many characters belong to the first number, and its value; None if it is a code (such
        as a version) or has too many digits.

    Examples:
        >>> read_decimal("1,000.5"), read_decimal("3,4,5"), read_decimal("1.2.3")
        ((7, Fraction(2001, 2)), (1, Fraction(3, 1)), (5, None))
    """
    groups = re.split(r"[^\d]", core)
    separators = re.findall(r"[^\d]", core)
    if sum(map(len, groups)) > MOST_DIGITS:
        return len(core), None
    decimal, others = _decimal_point(groups, separators)
    whole = groups[: len(groups) - 1] if decimal else groups
    if len(whole) > 1 and not _are_thousands(whole, others):
        if set(separators) == {"."} or len(set(separators)) > 1:
            return len(core), None
        return len(groups[0]), Fraction(int(groups[0]))
    digits = "".join(whole) or "0"
    return len(core), Fraction(f"{digits}.{groups[-1]}") if decimal else Fraction(int(digits))


def _decimal_point(groups: list[str], separators: list[str]) -> tuple[bool, list[str]]:
    """Return whether the last separator is a decimal point, and the other separators."""
    if not separators:
        return False, []
    last = separators[-1]
    if last not in ".," or separators.count(last) > 1:
        return False, separators
    if len(separators) > 1:
        return True, separators[:-1]
    is_thousands = last == "," and _are_thousands(groups, separators)
    return not is_thousands, [] if not is_thousands else separators


def _are_thousands(groups: list[str], separators: list[str]) -> bool:
    first, rest = groups[0], groups[1:]
    if len(set(separators)) != 1 or not 1 <= len(first) <= 3 or first.startswith("0"):
        return False
    if all(len(group) == 3 for group in rest):
        return True
    # India groups the digits above a thousand by two.
    indian = len(first) <= 2 and all(len(group) == 2 for group in rest[:-1])
    return separators[0] == "," and indian and len(rest) > 1 and len(rest[-1]) == 3


def _is_mixed(match: re.Match[str]) -> bool:
    top, bottom = match["top"], match["bottom"]
    return len(top) <= 4 and len(bottom) <= 4 and int(top) < int(bottom)


def _numeric(sign: str) -> Fraction | None:
    value = unicodedata.numeric(sign, None)
    return None if value is None else Fraction(value).limit_denominator(1000)


def _whole(digits: str, sign: int) -> Fraction | None:
    return Fraction(sign * int(digits)) if len(digits) <= MOST_DIGITS else None


def _share(top: str, bottom: str) -> Fraction | None:
    if max(len(top), len(bottom)) > MOST_DIGITS or not int(bottom):
        return None
    return Fraction(int(top), int(bottom))


def _bounded(whole: str, share: Fraction | None) -> Fraction | None:
    return None if share is None or len(whole) > MOST_DIGITS else int(whole) + share


def _times(value: Fraction | None, sign: int) -> Fraction | None:
    return None if value is None else value * sign


def _words(shadow: str) -> Iterator[Numeral]:
    for start, end, value, is_fraction in read_words(shadow):
        yield Numeral(start, end, "fraction" if is_fraction else "word", value)
