"""Redact questions (`--redact`): replace identifying text by placeholders, and restore it.

`[NAME_1]` stands for one person, however the name is written in the question and in the private
context. So the signal, the decoder and the answer refer to the same person.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from duet_device.privacy.found import NUMBER, Finder, Found
from duet_device.privacy.people import same_people
from duet_device.privacy.phrases import Phrases

_PLACEHOLDER = re.compile(r"\[[A-Z][A-Z0-9_]*_\d+\]")


class Redaction:
    """A question with placeholders, and what they stand for.

    Attributes:
        text: the question as it may leave the device.
        originals: what each placeholder becomes in an answer. Of an entity that the question
            writes in several ways, the way with the most words; of equal ones the first.
    """

    def __init__(self, question: str, found: Iterable[Found], taken: str = "") -> None:
        """Replace what was found, and the same values elsewhere if they are whole words or numbers.

        A number counts within a word, too, since it may be found there: EUR500.

        Args:
            question: as typed.
            found: what to replace; overlapping spans become one.
            taken: other text, in which no placeholder may occur already.
        """
        self.originals: dict[str, str] = {}
        self._exact: dict[str, str] = {}
        self._entities: dict[str, str] = {}
        self._of_entities: set[str] = set()
        self._taken = set(_PLACEHOLDER.findall(question + "\n" + taken))
        self._numbers: Counter[str] = Counter()
        self._phrases = Phrases[str]()
        spans = _merged(_without_space(question, each) for each in found)
        for span in spans:
            written = question[span.start : span.end]
            placeholder = self._name(written, span.label, span.entity)
            if span.entity:
                self._phrases.add(written, placeholder)
            else:
                is_number = span.label == NUMBER
                self._phrases.add_exactly(written, placeholder, within_words=is_number)
        pieces: list[str] = []
        end = 0
        for span in spans:
            pieces.append(self._replace(question[end : span.start], exactly=True))
            pieces.append(self._exact[question[span.start : span.end]])
            end = span.end
        pieces.append(self._replace(question[end:], exactly=True))
        self.text = "".join(pieces)

    def apply(self, text: str) -> str:
        """Other text with the same values replaced by the same placeholders, however spelled."""
        return self._replace(text, exactly=False)

    def restore(self, text: str) -> str:
        """Return the text with the values in the placeholders' place."""
        restorer = self.restorer()
        return restorer.feed(text) + restorer.finish()

    def restorer(self) -> "Restorer":
        """Return a restorer for text that arrives in chunks."""
        return Restorer(self.originals)

    def _replace(self, text: str, *, exactly: bool) -> str:
        pieces: list[str] = []
        end = 0
        for start, stop, placeholder in self._phrases.find(text):
            if start < end:
                continue
            written = text[start:stop]
            if exactly and placeholder not in self._of_entities:
                self._name(written, placeholder[1:].rpartition("_")[0], None)
            pieces += (text[end:start], self._exact.get(written, placeholder))
            end = stop
        return "".join([*pieces, text[end:]])

    def _name(self, written: str, label: str, entity: str | None) -> str:
        """Give `written` its entity's placeholder, or a new one; return it."""
        if written in self._exact:
            return self._exact[written]
        placeholder = self._entities.get(entity or "")
        if placeholder is None:
            placeholder = self._new(label)
            self.originals[placeholder] = written
        elif len(written.split()) > len(self.originals[placeholder].split()):
            self.originals[placeholder] = written
        self._exact[written] = placeholder
        if entity:
            self._entities[entity] = placeholder
            self._of_entities.add(placeholder)
        return placeholder

    def _new(self, label: str) -> str:
        while True:
            self._numbers[label] += 1
            placeholder = f"[{label}_{self._numbers[label]}]"
            if placeholder not in self._taken:
                return placeholder


class Restorer:
    """Restores values in text that arrives in chunks, which may split placeholders."""

    def __init__(self, originals: dict[str, str]) -> None:
        self._originals = originals
        self._beginnings = {each[:end] for each in originals for end in range(1, len(each))}
        self._longest = max(map(len, originals), default=0)
        self._held = ""

    def feed(self, text: str) -> str:
        """Return the next characters that are final; hold back what may begin a placeholder."""
        text = self._held + text
        cut = len(text)
        for start in range(max(0, len(text) - self._longest + 1), len(text)):
            if text[start:] in self._beginnings:
                cut = start
                break
        self._held = text[cut:]
        return _PLACEHOLDER.sub(lambda match: self._originals.get(match[0], match[0]), text[:cut])

    def finish(self) -> str:
        """Return the text that was held back, which is not a placeholder."""
        held, self._held = self._held, ""
        return held


def redact(
    question: str,
    finders: Sequence[Finder],
    taken: str = "",
    check: Callable[[], None] = lambda: None,
) -> Redaction:
    """Replace what the finders find in a question; of equal spans the earlier finder's counts.

    Args:
        question: as typed.
        finders: what looks for something.
        taken: other text, in which no placeholder may occur already.
        check: called between steps, which take well below a second each; raises to stop.
    """
    found: list[Found] = []
    for finder in finders:
        check()
        found += finder(question)
    check()
    return Redaction(question, same_people(question, found), taken)


def _without_space(text: str, found: Found) -> Found:
    """Return a span without white space at its ends, which identifies no one."""
    written = text[found.start : found.end]
    start = found.start + len(written) - len(written.lstrip())
    return replace(found, start=start, end=start + len(written.strip()))


def _merged(found: Iterable[Found]) -> list[Found]:
    """Spans in the text's order. Overlapping ones become one, so that no end of any is left over;
    it takes label and entity of the longest, of equal ones those of the first given.
    """
    merged: list[Found] = []
    longest: Found | None = None
    for each in sorted(found, key=lambda each: each.start):
        if each.end <= each.start:
            continue
        if merged and longest and each.start < merged[-1].end:
            last = merged[-1]
            if each.end - each.start > longest.end - longest.start:
                longest = each
            start, end = last.start, max(last.end, each.end)
            whole = (longest.start, longest.end) == (start, end)
            merged[-1] = Found(start, end, longest.label, longest.entity if whole else None)
        else:
            merged.append(each)
            longest = each
    return merged
