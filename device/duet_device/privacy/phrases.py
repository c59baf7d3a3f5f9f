"""Look many phrases up in a text at once: the time does not grow with their number."""

import re
from collections.abc import Iterator
from typing import Generic, TypeVar

from duet_device.privacy.folding import FoldedSpelling, caseless, fold

_TOKEN = re.compile(r"\d+|[^\W\d]+|[^\w\s]")
_Value = TypeVar("_Value")


class Phrases(Generic[_Value]):
    r"""Phrases with a value each, found in any spelling that folds to the same.

    Examples:
        >>> phrases = Phrases[str]()
        >>> phrases.add("Acme Corp", "firm")
        >>> phrases.add_exactly("50", "number", within_words=True)
        >>> list(phrases.find("ACME\n corp pays EUR50, not 500"))
        [(0, 10, 'firm'), (19, 21, 'number')]
    """

    def __init__(self) -> None:
        # The exact ones by their text, with whether they count within a word; the others by tokens.
        self._exact: dict[str, tuple[_Value, bool]] = {}
        self._loose: dict[tuple[str, ...], _Value] = {}
        # Numbers of tokens that the phrases with a first token have.
        self._lengths: dict[str, set[int]] = {}

    def add(self, phrase: str, value: _Value) -> None:
        """Add a phrase that counts in any case, with any white space between its words."""
        text = _Tokens(fold(phrase))
        if text.keys:
            self._loose.setdefault(text.key(0, len(text.keys)), value)
            self._lengths.setdefault(text.keys[0], set()).add(len(text.keys))

    def add_exactly(self, phrase: str, value: _Value, *, within_words: bool = False) -> None:
        """Add a phrase that counts as it is written, within a longer word only on demand."""
        text = _Tokens(fold(phrase))
        if text.keys:
            written = text.written(0, len(text.keys))
            first, counts_within = self._exact.get(written, (value, False))
            self._exact[written] = (first, counts_within or within_words)
            self._lengths.setdefault(text.keys[0], set()).add(len(text.keys))

    def find(self, text: str) -> Iterator[tuple[int, int, _Value]]:
        """Yield start, end and value of the longest phrase at each place; they may overlap."""
        folded = FoldedSpelling(text)
        tokens = _Tokens(folded.text)
        for at, key in enumerate(tokens.keys):
            for length in sorted(self._lengths.get(key, ()), reverse=True):
                end = at + length
                if end > len(tokens.keys):
                    continue
                value = self._value(tokens, at, end)
                if value is not None:
                    span = folded.span(tokens.places[at][0], tokens.places[end - 1][1])
                    yield (*span, value)
                    break

    def _value(self, tokens: "_Tokens", start: int, end: int) -> _Value | None:
        exact = self._exact.get(tokens.written(start, end))
        alone = tokens.is_alone(start, end)
        if exact and (alone or exact[1]):
            return exact[0]
        return self._loose.get(tokens.key(start, end)) if alone else None


class _Tokens:
    """Words, numbers and signs of folded text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.places = [match.span() for match in _TOKEN.finditer(text)]
        self.keys = [caseless(text[start:end]) for start, end in self.places]

    def written(self, start: int, end: int) -> str:
        """Return the text of some tokens."""
        return self._text[self.places[start][0] : self.places[end - 1][1]]

    def key(self, start: int, end: int) -> tuple[str, ...]:
        """Return some tokens for comparison: the parts of a word such as Q3 stay together."""
        own = range(start + 1, end)
        return (
            self.keys[start],
            *(f"\0{self.keys[n]}" if self._joins(n) else self.keys[n] for n in own),
        )

    def is_alone(self, start: int, end: int) -> bool:
        """Return whether some tokens are not a part of a longer word or number."""
        return not (self._joins(start) or self._joins(end))

    def _joins(self, at: int) -> bool:
        """Return whether a token continues the word that the token before ends with."""
        if not 0 < at < len(self.places):
            return False
        place = self.places[at][0]
        return self.places[at - 1][1] == place and all(
            map(_is_of_word, self._text[place - 1 : place + 1])
        )


def _is_of_word(char: str) -> bool:
    return char.isalnum() or char == "_"
