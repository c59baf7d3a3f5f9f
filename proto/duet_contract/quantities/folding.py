"""Fold text for the search for numbers: one alphabet, and no invisible characters.

Digits of every script become ASCII digits, full-width and styled letters ASCII letters. Characters
that state a number in another way become one of the signs below, of which `re` has no class.
"""

import unicodedata
from dataclasses import dataclass

VULGAR, OTHER, IDEOGRAPH = "\ue000", "\ue001", "\ue002"
"""Stand for fractions such as `½`; for other signs such as `²`, `Ⅳ`, `①`; for words such as `三`."""
_TAKEN = "\ue003"
_SIGNS = frozenset((VULGAR, OTHER, IDEOGRAPH))
# Signs that compare as something else: Turkish i, hyphens that break no line, Arabic separators.
_LIKE = {"\u0131": "i", "\u0130": "i", "\u2010": "-", "\u2011": "-", "\u066b": ".", "\u066c": ","}
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
    places = tuple(place for place, each in enumerate(text) if not _is_invisible(each))
    visible = "".join(text[place] for place in places)
    whole = len(places) == len(text)
    return Folded("".join(map(_folded, visible)), visible, None if whole else places)


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) == "Cf" and not _is_picture(character)


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
