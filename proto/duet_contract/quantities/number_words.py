"""Read English number words: "twenty-five", "two hundred and six", "two thirds of"."""

import re
from collections.abc import Iterator
from fractions import Fraction

_UP_TO_NINETEEN = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_UP_TO_NINETY = "twenty thirty forty fifty sixty seventy eighty ninety"
_SMALL = dict(zip(_UP_TO_NINETEEN.split(), range(1, 20), strict=True))
_TENS = dict(zip(_UP_TO_NINETY.split(), range(20, 100, 10), strict=True))
_GREAT = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_ORDINALS = "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth"
_DENOMINATORS = {
    "half": 2,
    "halve": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
    "ninth": 9,
    "tenth": 10,
}
_WORD = "|".join(sorted([*_SMALL, *_TENS, "hundred", *_GREAT], key=len, reverse=True))
_SEQUENCE = re.compile(
    rf"(?<![^\W\d])(?:a[ -](?=(?:hundred|thousand|million|billion)\b))?"
    rf"(?:{_WORD})(?:(?:[ -]|[ ]and[ ])(?:{_WORD})){{0,12}}(?![^\W\d])",
    re.IGNORECASE,
)
_AND_PART = re.compile(r"[ -]and[ -](?:a|one)[ -](half|third|quarter)\b", re.IGNORECASE)
_SHARE = re.compile(
    rf"(?:-({'|'.join(_DENOMINATORS)})s?\b|[ ]({'|'.join(_DENOMINATORS)})s(?=[ ](?:of|as|full)\b))",
    re.IGNORECASE,
)
_ORDINAL = re.compile(rf"-(?:{_ORDINALS})\b", re.IGNORECASE)


def read_words(text: str) -> Iterator[tuple[int, int, Fraction]]:
    """Find numbers in words.

    Args:
        text: any text.

    Yields:
        Start, end and value of each. "one" alone and ordinals do not count.

    Examples:
        >>> list(read_words("two hundred and six of twenty-five"))
        [(0, 19, Fraction(206, 1)), (23, 34, Fraction(25, 1))]
        >>> list(read_words("one of the twenty-first")), list(read_words("two-thirds"))
        ([], [(0, 10, Fraction(2, 3))])
    """
    place = 0
    while match := _SEQUENCE.search(text, place):
        start, place = match.start(), match.end()
        end, number = _longest(match)
        if number is None:
            continue
        value, place = Fraction(number), end
        if share := _SHARE.match(text, end):
            # "one third" states a relation; "two thirds" is a number.
            if number > 1:
                place = share.end()
                yield start, place, value / _DENOMINATORS[(share[1] or share[2]).lower()]
            continue
        if part := _AND_PART.match(text, end):
            place = part.end()
            yield start, place, value + Fraction(1, _DENOMINATORS[part[1].lower()])
        elif number > 1 and not _ORDINAL.match(text, end):
            yield start, end, value


def _longest(match: re.Match[str]) -> tuple[int, int | None]:
    """End and value of the longest beginning that is one number."""
    best: tuple[int, int | None] = (match.end(), None)
    words: list[str] = []
    for word in re.finditer(r"[A-Za-z]+", match[0]):
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
    total, group, lowest, previous = 0, 0, 10**12, ""
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
