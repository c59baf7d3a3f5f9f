"""One spelling for text that is written in several ways, and the way back to what was written.

Pasted text holds no-break spaces, typographic hyphens, fullwidth digits, invisible characters and
letters in two parts. Everything that looks for something looks at the folded text.
"""

import unicodedata
from collections.abc import Iterator

_HYPHENS = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_APOSTROPHES = "\u2018\u2019\u02bc\uff07"
# Soft hyphens, zero-width characters, byte order marks, direction marks, variation selectors.
_INVISIBLE = (
    "\u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
    "\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufe0e\ufe0f\ufeff"
)
_SAME = str.maketrans(
    {
        **dict.fromkeys(_HYPHENS, "-"),
        **dict.fromkeys(_APOSTROPHES, "'"),
        **dict.fromkeys(_INVISIBLE, ""),
    }
)
# 10² is not 102.
_ARITHMETIC = ("<super>", "<sub>", "<fraction>")
_VOWELS_OF_HANGUL = range(0x1160, 0x1200)


class FoldedSpelling:
    """Folded text (`text`) that knows where in the original each character is from.

    Spaces, hyphens and apostrophes of every kind become ASCII, characters their NFKC form but for
    superscripts, subscripts and fractions; invisible characters go. Case stays.

    Args:
        original: any text.

    Examples:
        >>> folded = FoldedSpelling("IBAN\u00a0DE89\u202f3704")
        >>> folded.text
        'IBAN DE89 3704'
        >>> folded.span(5, 9)
        (5, 9)
    """

    def __init__(self, original: str) -> None:
        self._starts: list[int] | None = None
        self._ends: list[int] = []
        self.text = original
        if original.isascii():
            return
        pieces: list[str] = []
        self._starts = []
        for start, end in _clusters(original):
            piece = _fold(original[start:end])
            pieces.append(piece)
            self._starts += [start] * len(piece)
            self._ends += [end] * len(piece)
        self.text = "".join(pieces)

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return where `text[start:end]`, which must not be empty, is in the original."""
        if self._starts is None:
            return start, end
        return self._starts[start], self._ends[end - 1]


def fold(text: str) -> str:
    """Return the folded text alone."""
    return FoldedSpelling(text).text


def caseless(text: str) -> str:
    r"""Return folded text for comparison in any case; Turkish dots on an i make no difference.

    Examples:
        >>> caseless("Straße \u0130 \u0131 I")
        'strasse i i i'
    """
    return text.casefold().replace("\u0131", "i").replace("\u0307", "")


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """Spans of a character with the marks that belong to it."""
    start = 0
    for at in range(1, len(text)):
        char = text[at]
        if char.isascii() or not _continues(char):
            yield start, at
            start = at
    if text:
        yield start, len(text)


def _continues(char: str) -> bool:
    return unicodedata.category(char)[0] == "M" or ord(char) in _VOWELS_OF_HANGUL


def _fold(cluster: str) -> str:
    if len(cluster) == 1 and unicodedata.decomposition(cluster).startswith(_ARITHMETIC):
        return cluster
    return unicodedata.normalize("NFKC", cluster).translate(_SAME)
