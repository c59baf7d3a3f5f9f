"""Redaction (`--redact`): stable placeholders for what identifies somebody, and back again.

`[NAME_1]` stands for one value wherever it occurs in the question and in the private context, so
that the signal, the decoder and the answer speak of the same thing.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from device.errors import UsageProblem

DEFAULT_LABEL = "WORD"
NUMBER = "NUMBER"
_LABEL = re.compile(r"[A-Z][A-Z0-9_]{0,30}\Z")
_MOST_DICTIONARY_BYTES = 1 << 20


@dataclass(frozen=True)
class Found:
    """Something to be replaced: `text[start:end]` is a `label` (`NAME`, `EMAIL`, ...)."""

    start: int
    end: int
    label: str


Finder = Callable[[str], Iterable[Found]]


@dataclass(frozen=True)
class Word:
    """An entry of one's own dictionary: every occurrence of `text` is a `label`."""

    text: str
    label: str = DEFAULT_LABEL


class Redaction:
    """A question with placeholders, and what they stand for.

    Attributes:
        text: the question as it may leave the device.
        originals: what each placeholder stands for.
    """

    def __init__(self, question: str, found: Iterable[Found], taken: str = "") -> None:
        """Replaces what was found, and the same values wherever else they stand alone.

        A number counts within a word, too, since it may be found there: EUR500.

        Args:
            question: as typed.
            found: what to replace; overlapping spans become one.
            taken: other text, in which no placeholder may occur already.
        """
        self.originals: dict[str, str] = {}
        self._placeholders: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None
        spans = _merged(found)
        for span in spans:
            self._name(question[span.start : span.end], span.label, question + "\n" + taken)
        if self._placeholders:
            # The longest first: a name before its parts.
            values = sorted(self._placeholders, key=len, reverse=True)
            numbers = {question[each.start : each.end] for each in spans if each.label == NUMBER}
            self._pattern = re.compile(
                "|".join(
                    rf"(?<!\d){re.escape(value)}(?!\d)"
                    if value in numbers
                    else _standing_alone(value)
                    for value in values
                )
            )
        pieces: list[str] = []
        end = 0
        for span in spans:
            pieces.append(self.apply(question[end : span.start]))
            pieces.append(self._placeholders[question[span.start : span.end]])
            end = span.end
        pieces.append(self.apply(question[end:]))
        self.text = "".join(pieces)

    def apply(self, text: str) -> str:
        """Other text with the same values replaced by the same placeholders."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda match: self._placeholders[match[0]], text)

    def restore(self, text: str) -> str:
        """Text with the values in the placeholders' place."""
        restorer = self.restorer()
        return restorer.feed(text) + restorer.finish()

    def restorer(self) -> "Restorer":
        """Restores text that comes in pieces."""
        return Restorer(self.originals)

    def _name(self, value: str, label: str, taken: str) -> None:
        if value in self._placeholders:
            return
        number = 1
        while (placeholder := f"[{label}_{number}]") in self.originals or placeholder in taken:
            number += 1
        self._placeholders[value] = placeholder
        self.originals[placeholder] = value


class Restorer:
    """Puts values back into text that arrives in pieces, which may cut placeholders."""

    def __init__(self, originals: dict[str, str]) -> None:
        self._originals = originals
        self._pattern = re.compile("|".join(map(re.escape, originals)) or "(?!)")
        self._longest = max(map(len, originals), default=0)
        self._held = ""

    def feed(self, text: str) -> str:
        """The next characters that can be told; what may begin a placeholder is held back."""
        text = self._held + text
        cut = len(text)
        for start in range(max(0, len(text) - self._longest + 1), len(text)):
            tail = text[start:]
            if any(each.startswith(tail) and each != tail for each in self._originals):
                cut = start
                break
        self._held = text[cut:]
        return self._pattern.sub(lambda match: self._originals[match[0]], text[:cut])

    def finish(self) -> str:
        """What was held back and turned out to be no placeholder."""
        held, self._held = self._held, ""
        return held


def redact(question: str, finders: Sequence[Finder], taken: str = "") -> Redaction:
    """Replaces what the finders find in a question; of equal spans the earlier finder's counts."""
    found = [each for finder in finders for each in finder(question)]
    names = [question[each.start : each.end] for each in found if each.label == "NAME"]
    # Who was named in full is known by a part of the name, too.
    parts = {part for name in names for part in name.split() if part.isalpha() and len(part) > 2}
    for part in sorted(part for part in parts if part[0].isupper()):
        for match in re.finditer(_standing_alone(part), question):
            found.append(Found(match.start(), match.end(), "NAME"))  # noqa: PERF401
    return Redaction(question, found, taken)


def find_words(words: Sequence[Word]) -> Finder:
    """Finds the entries of a dictionary, in any case, where they stand alone."""
    labels = {word.text.casefold(): word.label for word in words}
    longest_first = sorted(words, key=lambda word: len(word.text), reverse=True)
    pattern = re.compile(
        "|".join(_standing_alone(word.text) for word in longest_first), re.IGNORECASE
    )

    def find(text: str) -> Iterable[Found]:
        for match in pattern.finditer(text):
            label = labels.get(match[0].casefold(), DEFAULT_LABEL)
            yield Found(match.start(), match.end(), label)

    return find


def read_words(path: Path) -> list[Word]:
    """Reads a dictionary: a word or phrase a line, or `word = LABEL`; `#` begins a comment.

    Raises:
        UsageProblem: the file cannot be read, is too large or empty, or a line is malformed.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_DICTIONARY_BYTES + 1)
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageProblem(f"{path} is not UTF-8 text") from error
    except OSError as error:
        raise UsageProblem(f"cannot read {path}: {error.strerror or error}") from error
    if len(data) > _MOST_DICTIONARY_BYTES:
        raise UsageProblem(f"{path} has more than {_MOST_DICTIONARY_BYTES} bytes")
    words: list[Word] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        word, equals, label = (part.strip() for part in line.rpartition("="))
        if not equals:
            word, label = label, DEFAULT_LABEL
        label = label.upper()
        if not word or not _LABEL.match(label):
            raise UsageProblem(
                f"{path}, line {number}: a word or phrase, or WORD = LABEL, where the label has "
                "letters, digits and underscores"
            )
        words.append(Word(word, label))
    if not words:
        raise UsageProblem(f"{path} holds no words")
    return words


def _standing_alone(value: str) -> str:
    """A pattern for `value` that does not match inside a longer word or number."""
    before = r"(?<!\w)" if re.match(r"\w", value[0]) else ""
    after = r"(?!\w)" if re.match(r"\w", value[-1]) else ""
    return before + re.escape(value) + after


def _merged(found: Iterable[Found]) -> list[Found]:
    """Spans in the text's order. Overlapping ones become one, so that no end of any is left over;
    it takes the label of the longest, of equal ones that of the first given.
    """
    merged: list[Found] = []
    longest = 0
    for each in sorted(found, key=lambda each: each.start):
        length = each.end - each.start
        if merged and each.start < merged[-1].end:
            last = merged[-1]
            label = each.label if length > longest else last.label
            merged[-1] = Found(last.start, max(last.end, each.end), label)
            longest = max(longest, length)
        elif length > 0:
            merged.append(each)
            longest = length
    return merged
