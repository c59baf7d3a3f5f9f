r"""Find the number that prose settles on, where no box marks it.

It is the number right after the last "the answer is", else the last number of the text. A number
is taken with all that belongs to it, never in part: "12*17" gives none, "12*17 = 204" gives 204,
"12:30", "1,2,3" and "(3, 4)" none. Remarks in brackets do not count: "18 (see step 2)" is 18.
"""

import re
from dataclasses import dataclass

from duet_contract.answers.equations import stated
from duet_contract.answers.quantities import NUMBER, WrittenQuantity
from duet_contract.answers.units import read_unit

MAX_PROSE = 4_000
"""Characters of a response, the last, in which its answer is looked for."""

_NUMBER = re.compile(rf"(?<![\w.\\^])(?:{re.sub(r'[?]P<[a-z0-9]+>', '?:', NUMBER)})")
_CUE = re.compile(
    r"\b(?:answer|result)\b\s*(?:(?:is|would be|will be|equals)\b|[:=])[\s:*$]*"
    r"(?:(?:about|approximately|exactly|only|just)\s+|[A-Za-z]\s*=\s*)?",
    re.IGNORECASE,
)
_REMARK = re.compile(r"\([^()]*[^\W\d_]{2}[^()]*\)")
_BULLET = re.compile(r"^[ \t]*(?:[-*•][ \t]+|\d{1,2}[.)][ \t]+(?=\D))", re.MULTILINE)
_MONEY = r"(?:US\$|[$€£¥₹])"
# What makes one statement of two numbers.
_JOINT = re.compile(
    rf"[)]*\s?[%°]?\s?(?:[-+*·×/÷^=≈]|==)\s?[(]*[-+]?{_MONEY}?[-+]?[(]*|[:,./-]|\s?[x×]\s?"
)
_LIST = re.compile(r"\s?,\s?[-+]?")
_SIGN = re.compile(rf"(?:(?<![\w)\]])|(?<==)|(?<=\bis\s))[-+]\s?{_MONEY}?\s?$|{_MONEY}\s?[-+]?$")
# The number is one term of a formula: "x + 2", "COVID-19".
_TERM = re.compile(
    r"(?:(?<![^\W_])[^\W\d_]|[)°])\s?[-+*·×/÷^]\s?$|[^\W\d_]['-]?[-/]$|[\^_]$|[^\W\d_][(]$"
)
_WORD = r"[^\W\d_]+(?:\^\d)?"
_UNIT = re.compile(rf"\s?(?:°[CF]?|[%$€£¥₹¢](?!\d)|{_WORD}(?:(?:\s?/\s?|\sper\s){_WORD})?)")


@dataclass(frozen=True)
class Statement:
    """A number that prose states."""

    text: str
    """As it is written, with its unit."""
    numbers: tuple[WrittenQuantity, ...]
    """Its readings, as of `stated`."""


def last_number(text: str, *, computed: bool = True) -> Statement | None:
    """Return the number that a text without a box gives as its answer.

    Args:
        text: plain text.
        computed: whether a number must be computed; see `stated`.

    Returns:
        The number; None if the text has no number, or the number was not computed.

    Examples:
        >>> last_number("The answer is 18 (see step 2).").text
        '18'
        >>> last_number("That is 12*17.") is None
        True
    """
    text = _BULLET.sub("", text[-MAX_PROSE:])
    text = _REMARK.sub(" ", text) if _NUMBER.search(_REMARK.sub(" ", text)) else text
    statements = _statements(text)
    behind_cue = [
        each
        for cue in reversed(list(_CUE.finditer(text)))
        for start, each in statements
        if 0 <= start - cue.end() <= 1
    ]
    for each in [*behind_cue, *[each for _, each in statements[-1:]]]:
        if numbers := stated(each, computed=computed):
            return Statement(each.strip(" ."), numbers)
    return None


def _statements(text: str) -> list[tuple[int, str]]:
    """Numbers, and equations of numbers, each with its start."""
    groups: list[list[re.Match[str]]] = []
    for found in _NUMBER.finditer(text):
        gap = text[groups[-1][-1].end() : found.start()] if groups else None
        if gap is not None and (_JOINT.fullmatch(gap) or _is_list(text, groups[-1], gap)):
            groups[-1].append(found)
        else:
            groups.append([found])
    statements = []
    for group in groups:
        start, end = group[0].start(), group[-1].end()
        before = text[max(0, start - 40) : start]
        sign = _SIGN.search(before)
        if sign:
            start -= len(sign[0])
            before = before[: sign.start()]
        elif _TERM.search(before):
            continue
        unit = _unit(text[end : end + 60])
        if unit is None:
            continue
        opened = len(before) - len(before.rstrip("([{")) if len(group) > 1 else 0
        closed = text[end : end + opened] if opened else ""
        closed = closed if not closed.strip(")]}") else ""
        whole = text[start - opened : end] + closed + unit
        statements.append((start - opened, whole))
    return statements


def _is_list(text: str, group: list[re.Match[str]], gap: str) -> bool:
    """Return whether a number continues a list in brackets, as the 4 of "(3, 4)"."""
    before = text[max(0, group[0].start() - 10) : group[0].start()].rstrip("-+ $")
    return bool(_LIST.fullmatch(gap)) and before.endswith(("(", "[", "{"))


def _unit(behind: str) -> str | None:
    """Return the known unit after a number, "" without one; None if it is part of a word."""
    found = _UNIT.match(behind)
    if found:
        attached = not found[0][0].isspace()
        unit = read_unit(found[0].strip(), attached=attached)
        if unit and unit.known:
            return found[0]
        if attached:
            return None
    return None if re.match(r"[\w^]|\s?[=^]\s?\S", behind) else ""
