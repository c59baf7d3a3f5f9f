"""Fold text for the search for numbers: one alphabet, no invisible characters, no marked digits.

Digits of every script become ASCII digits, full-width and styled letters ASCII letters. Characters
that state a number in another way become one of the signs below, of which `re` has no class.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

VULGAR, OTHER, IDEOGRAPH = "\ue000", "\ue001", "\ue002"
"""Stand for fractions such as `½`; for other signs such as `²`, `Ⅳ`, `①`; for words such as `三`."""
_TAKEN = "\ue003"
_SIGNS = frozenset((VULGAR, OTHER, IDEOGRAPH))
# Signs that compare as something else: Turkish i, hyphens that break no line, Arabic separators.
_LIKE = {"\u0131": "i", "\u0130": "i", "\u2010": "-", "\u2011": "-", "\u066b": ".", "\u066c": ","}
# Characters that show nothing, besides those of category Cf: `Default_Ignorable_Code_Point`.
_IGNORABLE = (
    ("\u034f", "\u034f"),
    ("\u115f", "\u1160"),
    ("\u17b4", "\u17b5"),
    ("\u180b", "\u180f"),
    ("\u3164", "\u3164"),
    ("\ufe00", "\ufe0f"),
    ("\uffa0", "\uffa0"),
    ("\U000e0100", "\U000e01ef"),
)
# Pictures of a number, by the start of their Unicode name.
_PICTURES = (
    "CLOCK FACE ",
    "DIE FACE-",
    "DOMINO TILE ",
    "HUNDRED POINTS",
    "KEYCAP TEN",
    "MAHJONG TILE ",
    "NO ONE UNDER EIGHTEEN",
    "PLAYING CARD ",
    "TAG DIGIT ",
)


@dataclass(frozen=True)
class Folded:
    """A text in which numbers are found, and where its characters are in the original."""

    text: str
    """Folded; as long as `visible`."""
    visible: str
    """The original without invisible characters."""
    places: tuple[int, ...] | None
    """Index in the original of each visible character; None if all are."""

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return a span of `text` as one of the original; `end` is after its last character."""
        if self.places is None:
            return start, end
        return self.places[start], self.places[end - 1] + 1


def fold(text: str) -> Folded:
    r"""Fold a text.

    Examples:
        >>> fold("\uff13\u066b\uff15 of ½").text
        '3.5 of \ue000'
        >>> fold("for\u00adty").span(0, 5)
        (0, 6)
    """
    if text.isascii():
        return Folded(text, text, None)
    places = tuple(_visible(text))
    visible = "".join(text[place] for place in places)
    whole = len(places) == len(text)
    return Folded("".join(map(_folded, visible)), visible, None if whole else places)


def spread(text: str) -> str:
    r"""Return a text of the same length with a space in the place of each invisible character.

    Examples:
        >>> spread("five\u200bpens")
        'five pens'
    """
    if text.isascii():
        return text
    return "".join(" " if _is_invisible(each) else each for each in text)


def _visible(text: str) -> Iterator[int]:
    """Yield the places of what is read: not of marks on a digit either, such as an underline."""
    on_digit = False
    for place, each in enumerate(text):
        if _is_invisible(each):
            continue
        if not each.isascii() and unicodedata.category(each) in ("Mn", "Me"):
            if not on_digit:
                yield place
            continue
        on_digit = each.isdecimal()
        yield place


def _is_invisible(character: str) -> bool:
    if character.isascii():
        return False
    if unicodedata.category(character) == "Cf":
        return not _is_picture(character)
    return any(first <= character <= last for first, last in _IGNORABLE)


def _is_picture(character: str) -> bool:
    return unicodedata.name(character, "").startswith(_PICTURES)


def _folded(character: str) -> str:
    if character.isascii():
        return character
    if character in _SIGNS:
        return _TAKEN
    category = unicodedata.category(character)
    if category == "Nd":
        return str(unicodedata.digit(character))
    value = unicodedata.numeric(character, None)
    if category == "Lo" and value is not None:
        return IDEOGRAPH
    if value is not None or category in ("No", "Nl"):
        return VULGAR if value and 0 < value < 1 else OTHER
    plain = unicodedata.normalize("NFKC", character)
    # One sign for "day 1" or "1 o'clock", or for a number in brackets; a unit such as ㎡ begins with a letter.
    if _is_numeric(plain[0]) or (not plain[0].isalpha() and any(map(_is_numeric, plain))):
        return IDEOGRAPH if category == "Lo" else OTHER
    if category in ("So", "Cf") and _is_picture(character):
        return OTHER
    if len(plain) == 1 and plain.isascii() and not plain.isspace():
        return plain
    return _LIKE.get(character, character)


def _is_numeric(character: str) -> bool:
    return unicodedata.numeric(character, None) is not None
