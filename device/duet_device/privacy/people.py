"""Find names of the same person: `Maria Lopez`, `Maria`, `LOPEZ, Maria` are one entity."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from duet_device.privacy.folding import FoldedSpelling, fold
from duet_device.privacy.found import NAME, Found
from duet_device.privacy.names import is_ordinary

_WORD = re.compile(r"\w+(?:['\-]\w+)*")


def same_people(text: str, found: Sequence[Found]) -> list[Found]:
    """Give each name its person, and find parts of names elsewhere.

    A name belongs to the one longer name that has all its words. Where several have them ("Maria"
    next to Maria Lopez and Maria Kant), or none, it is an entity of its own.

    Args:
        text: in which `found` was found.
        found: names and other things; those stay as they are.
    """
    words = {each: _words(text[each.start : each.end]) for each in found if each.label == NAME}
    people = _people({frozenset(map(str.casefold, each)) for each in words.values()})
    result = [
        replace(each, entity=people[frozenset(map(str.casefold, words[each]))])
        if each in words
        else each
        for each in found
    ]
    parts: dict[str, str] = {}
    for word in (word for each in words.values() for word in each):
        if len(word) > 1 and word[0].isupper() and word.isalpha() and not is_ordinary(word):
            for written in (word, word.upper(), word.capitalize()):
                parts[written] = people[frozenset([word.casefold()])]
    if parts:
        folded = FoldedSpelling(text)
        result += [
            Found(*folded.span(*match.span()), NAME, entity)
            for match in re.finditer(r"\w+", folded.text)
            if (entity := parts.get(match[0]))
        ]
    return result


def _words(name: str) -> list[str]:
    return [re.sub(r"'s\Z", "", word) for word in _WORD.findall(fold(name))]


def _people(names: set[frozenset[str]]) -> dict[frozenset[str], str]:
    """Return the entity of each name and of each single word of one."""
    longer: dict[str, list[frozenset[str]]] = {}
    for name in sorted(names, key=len, reverse=True):
        if not any(name < other for other in _having(name, longer)):
            for word in name:
                longer.setdefault(word, []).append(name)
    people: dict[frozenset[str], str] = {}
    for name in names | {frozenset([word]) for word in longer}:
        owners = _having(name, longer)
        person = owners[0] if len(owners) == 1 else name
        people[name] = "person: " + " ".join(sorted(person))
    return people


def _having(name: Iterable[str], longer: dict[str, list[frozenset[str]]]) -> list[frozenset[str]]:
    """Return the longest names that have all words of `name`."""
    words = frozenset(name)
    candidates = min((longer.get(word, []) for word in words), key=len, default=[])
    return [each for each in candidates if words <= each]
