"""Notes with quantities: which of their facts a question needs, so that these can be masked too.

A fact is one line, sentence or table cell with a number. The device sends the facts that a question
names, with labels instead of numbers, before the question; all other facts stay on the device.
"""

import csv
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from duet_contract.quantities.numerals import find_numerals

MOST_FACTS = 8
"""Most facts of a question, so that a long note cannot fill the reasoner's prompt."""
FEW = 2
"""A word of the question that so many facts have, or fewer, chooses all of them."""
_BULLET = re.compile(r"^\s*(?:[-*+\u2022\u2013]|\d{1,2}[.)])\s+")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^\W\d_])")
_TABLE_RULE = re.compile(r"^[\s|:+=-]+$")
_LONGEST_CELL = 60
# A line with commas that has these belongs to no table: sentences, and commas inside numbers.
_NO_CELLS = re.compile(r"[.!?:]\s|[.!?:]$|, |\d,\d{3}(?!\d)")
_WORD = re.compile(r"[^\W\d_]+")
_ENDINGS = ("ies", "ing", "es", "ed", "s", "e", "y")
_SHORTEST_STEM = 3
_COMMON_WORDS = (
    "a all altogether am an and any are as at be been by can did do does each every far for from "
    "get gets go goes had has have he her here his how i if in is it its last long many me more "
    "most much must my need needs no not of on one or our out pay pays per she so than that the "
    "their them there they this to together total up us use uses was we were what when which who "
    "will with would you your"
)
_COMMON = frozenset(_COMMON_WORDS.split())


def facts(text: str) -> tuple[str, ...]:
    r"""Return the facts of a note, in its order.

    Args:
        text: plain text, with lists, headings and tables as Markdown or with separators.

    Examples:
        >>> facts("# Trip\n- ticket: $7.50\n\nThe class has 24 children. We go in May.")
        ('Trip, ticket: $7.50.', 'The class has 24 children.')
        >>> facts("| room | seats |\n|---|---|\n| A | 30 |\n| B | 12 |")
        ('A, seats: 30.', 'B, seats: 12.')
    """
    found: list[tuple[str, str]] = []
    heading = ""
    block: list[str] = []
    of_block = ""
    for line in [*text.splitlines(), ""]:
        separator = _separator(line)
        if separator and (not block or of_block == separator):
            block.append(line)
            of_block = separator
            continue
        found += [(heading, fact) for fact in _table(block)]
        block, of_block = ([line] if separator else []), separator
        if not block:
            plain = _BULLET.sub("", line).strip()
            if not plain:
                heading = "" if not line.strip() else heading
            elif plain.startswith("#") or (plain.endswith(":") and not _numbers(plain)):
                heading = plain.strip("#: ")
            else:
                found += [(heading, fact) for fact in _sentences(plain)]
    # A heading that all facts have tells none from another.
    several = len({heading for heading, _ in found}) > 1
    told = (f"{above}, {fact}" if above and several else fact for above, fact in found)
    return tuple(dict.fromkeys(told))


def needed(question: str, known: Sequence[str]) -> tuple[str, ...]:
    r"""Choose the facts that a question needs, in their order.

    A word of the question chooses the facts that have it: all of them if they are few, else the one
    with the most, and the rarest, words in common with the question, and the fewest others. Words
    that any question has choose nothing.

    Args:
        question: as typed.
        known: all facts.

    Examples:
        >>> known = facts("Bus: $180\nTicket: $7.50\nTicket for dogs: $2\nRent: $900")
        >>> needed("What do the bus and a ticket cost?", known)
        ('Bus: $180.', 'Ticket: $7.50.', 'Ticket for dogs: $2.')
        >>> needed("She buys three tickets.", facts("Ticket: $7.50\nRent: three hundred dollars"))
        ('Ticket: $7.50.',)
    """
    words = [_words(fact) for fact in known]
    counts = Counter(word for each in words for word in each)
    asked = _words(question) & set(counts)
    weight = {word: math.log(1 + len(known) / counts[word]) for word in asked}
    ranks = [
        (round(sum(weight[word] for word in each & asked), 6), -len(each - asked)) for each in words
    ]
    chosen: set[int] = set()
    for word in asked:
        places = [place for place, each in enumerate(words) if word in each]
        best = max(ranks[place] for place in places)
        rare = len(places) <= FEW
        chosen |= {place for place in places if rare or ranks[place] == best}
    first = sorted(chosen, key=lambda place: ranks[place], reverse=True)[:MOST_FACTS]
    return tuple(known[place] for place in sorted(first))


def with_facts(question: str, chosen: Sequence[str]) -> str:
    """Return the question as a pair reads it: after its facts."""
    return " ".join([*chosen, question])


def _separator(line: str) -> str:
    """Return what separates the cells of a line, if it may be a table's."""
    for sign in ("|", "\t", ";"):
        if sign in line.strip():
            return sign
    cells = line.split(",")
    short = len(cells) > 1 and all(len(cell) <= _LONGEST_CELL for cell in cells)
    return "," if short and not _NO_CELLS.search(line) else ""


def _table(block: Sequence[str]) -> Iterator[str]:
    lines = [line for line in block if not _TABLE_RULE.match(line)]
    rows = [_cells(line) for line in lines]
    if len(rows) < 2 or any(map(_numbers, rows[0][1:])):
        for line, row in zip(lines, rows, strict=True):
            is_list = _separator(line) in ",;"
            yield from _sentences(
                _BULLET.sub("", line) if is_list else ": ".join(filter(None, row))
            )
        return
    header, *rest = rows
    for name, *cells in rest:
        for title, cell in zip(header[1:], cells, strict=False):
            if _numbers(cell):
                yield from _sentences(f"{name}, {title}: {cell}")


def _cells(line: str) -> list[str]:
    sign = _separator(line)
    text = line.strip().strip("|") if sign == "|" else line
    try:
        (row,) = csv.reader([text], delimiter=sign)
    except csv.Error:
        # A cell is longer than the module reads.
        row = text.split(sign)
    return [cell.strip() for cell in row]


def _sentences(line: str) -> Iterator[str]:
    for sentence in _SENTENCE_END.split(line.strip()):
        if _numbers(sentence) and _WORD.search(sentence):
            yield sentence if sentence[-1] in ".!?" else f"{sentence}."


def _numbers(text: str) -> bool:
    return next(iter(find_numerals(text)), None) is not None


def _words(text: str) -> frozenset[str]:
    # Without number words: which facts are sent must not tell which numbers they have.
    kept, place = [], 0
    for numeral in find_numerals(text):
        kept.append(text[place : numeral.start])
        place = numeral.end
    words = _WORD.findall(" ".join([*kept, text[place:]]).lower())
    return frozenset(_stem(word) for word in words if word not in _COMMON and len(word) > 1)


def _stem(word: str) -> str:
    """Remove English endings, so that "tickets" and "ticket" are one word."""
    end = len(word)
    # The ending is looked for in place, since a copy for each takes quadratic time.
    while ending := next(
        (e for e in _ENDINGS if end - len(e) >= _SHORTEST_STEM and word.endswith(e, 0, end)), ""
    ):
        end -= len(ending)
    return word[:end]
