"""Read the user's dictionary (`--redact-words`) of other text that must not leave the device."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from duet_device.errors import UsageProblem
from duet_device.privacy.folding import caseless, fold
from duet_device.privacy.found import Finder, Found
from duet_device.privacy.phrases import Phrases
from duet_device.text import decode_text

DEFAULT_LABEL = "WORD"
_LABEL = re.compile(r"[A-Z][A-Z0-9_]{0,30}\Z")
_MOST_DICTIONARY_BYTES = 1 << 20
_SIGN = re.compile(r"\S")


@dataclass(frozen=True)
class Word:
    """An entry: every occurrence of `text` is a `label`."""

    text: str
    """Word or phrase to replace."""
    label: str = DEFAULT_LABEL
    """Label of the placeholder."""


def find_words(words: Sequence[Word]) -> Finder:
    """Find the entries of a dictionary where they are whole words.

    In any case, with any white space between words, and in any spelling that folds to the same
    (`duet_device.privacy.folding`). All spellings of an entry are one entity.

    Args:
        words: the entries; at each place the longest counts.
    """
    entries = Phrases[tuple[str, str]]()
    for word in words:
        entries.add(word.text, (word.label, f"{word.label}: {caseless(fold(word.text))}"))

    def find(text: str) -> Iterable[Found]:
        for start, end, (label, entity) in entries.find(text):
            yield Found(start, end, label, entity)

    return find


def read_words(path: Path) -> list[Word]:
    """Read a dictionary: a word or phrase a line, or `word = LABEL`; `#` begins a comment.

    Args:
        path: a file of UTF-8, or UTF-16 with a byte order mark.

    Raises:
        UsageProblem: the file cannot be read, is too large or empty, or a line is malformed.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_DICTIONARY_BYTES + 1)
        text = decode_text(data)
    except UnicodeDecodeError as error:
        raise UsageProblem(f"{path} is not UTF-8 text") from error
    except OSError as error:
        raise UsageProblem(f"cannot read {path}: {error.strerror or error}") from error
    if len(data) > _MOST_DICTIONARY_BYTES:
        raise UsageProblem(f"{path} has more than {_MOST_DICTIONARY_BYTES} bytes")
    words: list[Word] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not _SIGN.search(fold(line)) or line.lstrip().startswith("#"):
            continue
        word, equals, label = (part.strip() for part in line.rpartition("="))
        if not equals:
            word, label = label, DEFAULT_LABEL
        label = label.upper()
        if not _SIGN.search(fold(word)) or not _LABEL.match(label):
            raise UsageProblem(
                f"{path}, line {number}: a word or phrase, or WORD = LABEL, where the label has "
                "letters, digits and underscores"
            )
        words.append(Word(word, label))
    if not words:
        raise UsageProblem(f"{path} holds no words")
    return words
