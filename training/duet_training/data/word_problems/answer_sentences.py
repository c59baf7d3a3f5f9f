"""Answers as sentences, from the worked solutions that end in them.

"Ann sold 48+24 = <<48+24=72>>72 clips in all." says what a person expects as the answer: "Ann sold
{=} clips in all."
"""

import re

from duet_contract.quantities import mask
from duet_contract.quantities.sentences import RESULT

MOST_WORDS = 22
_LINE = re.compile(
    # Words, then nothing but an expression up to the annotation.
    r"(?P<before>[^\d$<>=()]*?[^\W\d_])[\s:]*[-+*/x().,\d$%\s]*=?\s*(?P<sign>\$?)<<[^<>]*>>"
    r"(?P<written>\$?)[\d,]*\.?\d*(?P<percent>%?)(?P<after>[^\d<>=$]*)"
)
_OPENING = re.compile(
    r"(?:(?:so|then|thus|therefore|hence|finally|and|but|since then|as a result|this means|that means"
    r"|this means that|that means that|which means that|we know that|it follows that"
    r"|that(?! [a-z]+s\b| will| would))\b,?\s*)+",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"\b(?:because|since|if|so|which means|you|we|let)\b|[;:?]", re.IGNORECASE)
_COMMAND = re.compile(
    r"(?:add|subtract|multiply|divide|find|calculate|take|determine|compute|combine|first|next)\b",
    re.IGNORECASE,
)
# Ends of clauses that would need the expression, and names, which no number follows.
_HANGING = re.compile(
    r"(?:\b(?:of|by|plus|minus|times|add|adding|multiply|multiplying|divide|dividing|subtract|and|or|to "
    r"get|from|than|per)|\s[A-Z][\w']*)$"
)
_MONEY_WORD = re.compile(r"\s*(?:dollars|cents|bucks)\b", re.IGNORECASE)
# Words after an amount of money. Before a noun, the sign is a slip of the solution.
_AFTER_MONEY = re.compile(
    r"\s*(?:$|[.,!]|(?:a|after|altogether|an|and|as|at|back|by|during|each|every|for|from|in|left|less"
    r"|more|of|on|over|per|profit|so|that|the|this|to|together|total|when|with|worth)\b)",
    re.IGNORECASE,
)
_MORE_SENTENCES = re.compile(r"(?<=[.!])\s+\S.*")


def answer_sentence(line: str) -> str:
    """Return the sentence that a line of a solution is, with `{=}` for its result.

    It is empty if the line has other numbers or no words before its expression.

    Examples:
        >>> answer_sentence("So, Ann sold 48+24 = <<48+24=72>>72 clips in all.")
        'Ann sold {=} clips in all.'
        >>> answer_sentence("She earned $12 x 5 = $<<12*5=60>>60.")
        'She earned ${=}.'
        >>> answer_sentence("He ate 4 slices, so 8-4 = <<8-4=4>>4 are left.")
        ''
    """
    found = _LINE.fullmatch(line.strip())
    if not found:
        return ""
    before = found["before"].strip()
    if opening := _OPENING.match(before):
        before = before[opening.end() :]
    after = _MORE_SENTENCES.sub("", found["after"].rstrip())
    is_money = "$" in found["sign"] + found["written"]
    if is_money and not _MONEY_WORD.match(after) and not _AFTER_MONEY.match(after):
        return ""
    sign = "$" if is_money and not _MONEY_WORD.match(after) else ""
    space = "" if not after or after[0] in ".,%!'" else " "
    sentence = f"{before} {sign}{RESULT}{found['percent']}{space}{after.strip()}"
    sentence = sentence.rstrip(" ,.!") + "."
    is_clear = before and not _CLAUSE.search(sentence)
    is_clear = is_clear and not _COMMAND.match(before) and not _HANGING.search(before)
    if not is_clear or len(sentence.split()) > MOST_WORDS or mask(sentence).quantities:
        return ""
    return sentence[0].upper() + sentence[1:]


def last_sentence(solution: str) -> str:
    """Return the sentence of a solution's last annotated line; empty if the line gives none."""
    lines = [line for line in solution.split("\n") if "<<" in line]
    return answer_sentence(lines[-1]) if lines else ""
