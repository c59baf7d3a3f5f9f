r"""Find the letter that an answer chooses, where it chooses exactly one."""

import re

_ONE = re.compile(r"(?:(?:option|choice|answer)\b\s*[:.]?\s*)?\(?([A-Za-z])\)?[.)]?", re.IGNORECASE)
# A letter in brackets, or one that a stop, a colon or a comma ends, and what it stands for.
_FIRST = re.compile(
    r"(?:(?:option|choice|answer)\b\s*[:.]?\s*)?"
    r"(?:\(([A-Za-z])\)|([A-Za-z])(?:[.:)]|(?-i:,(?= [a-z]))))(?=\s|$)(?![.:]?\s*[-+*/=<>^])",
    re.IGNORECASE,
)
_CUE = re.compile(
    r"\b(?:(?:answer|choice|option)(?:\s+(?:is|would be|must be|should be))?"
    r"|choose|chose|pick|select)"
    r"\s*[:=]?\s*(?:option\s+|choice\s+)?\(?([A-Z])\)?(?![\w'’^*+=])",
    re.IGNORECASE,
)
_ALONE = re.compile(r"(?<![\w'’\\^_(-])\(?([A-Z])\)?(?![\w'’^_])")
# "A" and "I" are words before a small letter; a letter may be named to be rejected.
_AS_WORD = re.compile(r"[AI] (?!or |and )[a-z]")
_DENIED_BEFORE = re.compile(
    r"\b(?:not|isn't|than|nor|reject|exclude)\s+(?:option\s+|choice\s+)?$", re.I
)
_DENIED_BEHIND = re.compile(r"\s+(?:is|was|are)\s+(?:not|wrong|incorrect|false)\b", re.IGNORECASE)
_OTHER = re.compile(r"^\W*(?:or|and|/|,|&)\s*\(?[A-Z]\)?(?![\w'’])", re.IGNORECASE)


def chosen(final: str) -> str | None:
    """Return the letter of a final answer, such as a box holds.

    Args:
        final: plain text.

    Returns:
        The letter, a capital; None for other text, several letters, or part of a formula.

    Examples:
        >>> chosen("(C) 5")
        'C'
        >>> chosen("Option b")
        'B'
        >>> chosen("a = 3") is None
        True
    """
    final = " ".join(final.split())
    if whole := _ONE.fullmatch(final):
        return whole[1].upper()
    first = _FIRST.match(final)
    if not first or _OTHER.match(final[first.end() :]):
        return chosen_in_prose(final) if _CUE.search(final) else None
    return (first[1] or first[2]).upper()


def chosen_in_prose(text: str) -> str | None:
    """Return the letter that sentences choose: after "the answer is", else the named letter.

    Args:
        text: plain text.

    Returns:
        The letter; None if none is chosen, or several are named without saying which.

    Examples:
        >>> chosen_in_prose("Answer: (A) since B is wrong")
        'A'
        >>> chosen_in_prose("I do not know") is None
        True
    """
    last = None
    for cue in _CUE.finditer(text):
        behind = text[cue.end() :]
        if cue[1].isupper() and not _AS_WORD.match(text, cue.start(1)):
            last = None if _OTHER.match(behind) else cue[1]
    if last:
        return last
    lines = text.strip().splitlines()
    for line in (lines[-1], text) if lines else ():
        first = _ONE.fullmatch(line) or _FIRST.match(line)
        letter = first[first.lastindex or 1] if first else ""
        if first and letter.isupper() and not _OTHER.match(line[first.end() :]):
            return letter
        if named := _named(line):
            return named.pop() if len(named) == 1 else None
    return None


def _named(text: str) -> set[str]:
    """Return the letters between word boundaries, without words and rejected letters."""
    return {
        found[1]
        for found in _ALONE.finditer(text)
        if not _AS_WORD.match(text, found.start(1))
        and not _DENIED_BEFORE.search(text[max(0, found.start() - 30) : found.start()])
        and not _DENIED_BEHIND.match(text, found.end())
    }
