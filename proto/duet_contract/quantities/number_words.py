"""Read English number words: "twenty-five", "two hundred and six", "two thirds of"."""

import re
from collections.abc import Iterator
from fractions import Fraction

_UP_TO_NINETEEN = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_UP_TO_NINETY = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = dict(zip(_UP_TO_NINETY.split(), range(20, 100, 10), strict=True))
# Plural: bills, or decades. The misspellings are frequent.
_TENS |= {f"{word[:-1]}ies": value for word, value in _TENS.items()} | {"fourty": 40, "ninty": 90}
_UNITS = dict(zip(_UP_TO_NINETEEN.split(), range(1, 20), strict=True))
_SMALL = _UNITS | {
    f"{tens}{unit}": value + _UNITS[unit]
    for tens, value in _TENS.items()
    for unit in _UP_TO_NINETEEN.split()[:9]
}
_GREAT = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
MAGNITUDES = {"hundred": 100, **_GREAT}
"""Words after digits that belong to the number, with their factors."""
_FIRST_TO_NINTH = "first second third fourth fifth sixth seventh eighth ninth"
_ORDINALS = dict(zip(_FIRST_TO_NINTH.split(), range(1, 10), strict=True))
_THIRD_TO_TWENTIETH = (
    "third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
_DENOMINATORS = dict(zip(_THIRD_TO_TWENTIETH.split(), range(3, 21), strict=True)) | {
    "half": 2, "halve": 2, "quarter": 4, "hundredth": 100, "thousandth": 1000, "millionth": 10**6
}  # fmt: skip
_WORD = "|".join(sorted([*_SMALL, *_TENS, *MAGNITUDES], key=len, reverse=True))
# A line may end inside a number.
_GAP = r"(?:\s{1,3}|-)"
# Of what is counted so many times, of groups and coins, and of what is about so much: "by fives".
_SUFFIX = "(?:e?s|fold|ish|pence|penny|some(?:thing)?s?)"
_SEQUENCE = re.compile(
    rf"(?<![^\W\d_])(?:a{_GAP}(?=(?:{'|'.join(MAGNITUDES)})(?![^\W\d_])))?"
    rf"(?:{_WORD})(?:{_GAP}(?:and{_GAP})?(?:{_WORD})){{0,12}}(?={_SUFFIX}?(?![^\W\d_]))",
    re.IGNORECASE,
)
_AND_PART = re.compile(
    rf"{_GAP}and{_GAP}(?:a|one){_GAP}(half|third|quarter)\b"
    rf"(?:{_GAP}({'|'.join(MAGNITUDES)})\b)?",
    re.IGNORECASE,
)
_SHARE = re.compile(
    rf"(?:-({'|'.join(_DENOMINATORS)})s?\b|\s({'|'.join(_DENOMINATORS)})s(?=\s(?:of|as|full)\b))",
    re.IGNORECASE,
)
_ORDINAL = re.compile(rf"-({'|'.join(_ORDINALS)})\b", re.IGNORECASE)


def read_words(text: str) -> Iterator[tuple[int, int, Fraction, bool]]:
    """Find numbers in words.

    Args:
        text: any text.

    Yields:
        Start, end and value of each, and whether it is written as a fraction. "one" alone and
        ordinals of one word do not count.

    Examples:
        >>> list(read_words("two hundred and six of twenty-five"))
        [(0, 19, Fraction(206, 1), False), (23, 34, Fraction(25, 1), False)]
        >>> list(read_words("one of the first")), list(read_words("two-thirds"))
        ([], [(0, 10, Fraction(2, 3), True)])
        >>> [(end, int(value)) for _, end, value, _ in read_words("tenfold, and two twenties, fives")]
        [(3, 10), (16, 2), (25, 20), (31, 5)]
    """
    place = 0
    while match := _SEQUENCE.search(text, place):
        start = match.start()
        end, number = _longest(match)
        place = end
        if number is None:
            continue
        value = Fraction(number)
        ordinal = _ORDINAL.match(text, end)
        if ordinal and number >= 20 and number % 10 == 0:
            place = ordinal.end()
            yield start, place, value + _ORDINALS[ordinal[1].lower()], False
        elif share := _SHARE.match(text, end):
            # "one third" states a relation; "two thirds" is a number.
            if number > 1:
                place = share.end()
                yield start, place, value / _DENOMINATORS[(share[1] or share[2]).lower()], True
        elif part := _AND_PART.match(text, end):
            place = part.end()
            value += Fraction(1, _DENOMINATORS[part[1].lower()])
            magnitude = (part[2] or "").lower()
            yield start, place, value * MAGNITUDES.get(magnitude, 1), not magnitude
        elif number > 1:
            yield start, end, value, False


def _longest(match: re.Match[str]) -> tuple[int, int | None]:
    """End and value of the longest beginning that is one number."""
    each = list(re.finditer(r"[A-Za-z]+", match[0]))
    # If the first word begins no number, the second may: "(12) thousand five hundred".
    best: tuple[int, int | None] = (match.start() + each[0].end(), None)
    words: list[str] = []
    for word in each:
        words.append(word[0].lower())
        value = _value(words)
        if value is not None:
            best = (match.start() + word.end(), value)
        elif not _may_continue(words):
            break
    return best


def _may_continue(words: list[str]) -> bool:
    """Return whether a longer sequence may be a number although this one is not."""
    return words[-1] == "and" or words == ["a"]


def _value(words: list[str]) -> int | None:
    """Return the number that these words are, if they are one."""
    total, group, lowest, previous = 0, 0, 10**13, ""
    for word in words:
        if word == "a":
            group = 1
        elif word == "and":
            if previous != "hundred" and previous not in _GREAT:
                return None
        elif word == "hundred":
            if not 0 < group < 100 or previous in ("and", "hundred"):
                return None
            group *= 100
        elif word in _GREAT:
            if not group or _GREAT[word] >= lowest or previous == "and":
                return None
            total, group, lowest = total + group * _GREAT[word], 0, _GREAT[word]
        else:
            added = _SMALL.get(word) or _TENS[word]
            room = 10 if previous in _TENS else 100
            if added >= room or (group % 100 and previous not in _TENS):
                return None
            group += added
        previous = word
    return None if previous in ("a", "and") else total + group
