"""Sentences that answer questions without one of their own, such as GSM8K's."""

import re

from duet_contract.quantities import Asked
from duet_training.data.story_problems.open_words import listed

_MANY = re.compile(r"\bhow many ((?:(?:more|fewer|total|other|full) )?[^\W\d_]+)", re.IGNORECASE)
_AUXILIARIES = frozenset(listed("did does do is are was were will would can could has have of"))


def sentence_for(question: str, what: Asked) -> str:
    """A sentence around `{=}`, the result.

    Args:
        question: masked.
        what: `asked` of it.

    Examples:
        >>> from duet_contract.quantities import asked
        >>> question = "Ann has [a] pens and sells [b]. How many pens are left?"
        >>> sentence_for(question, asked(question))
        'The answer is {=} pens.'
    """
    found = _MANY.findall(question)
    noun = found[-1].lower() if found else ""
    if what.sort == "percent":
        return "The answer is {=}%."
    if what.sort == "money" and noun not in ("cents", "pennies"):
        sign = next((sign for sign in "$€£" if sign in question), "")
        return f"The answer is {sign}{{=}}." if sign else "The answer is {=}."
    if not noun or noun.split()[-1] in _AUXILIARIES:
        return "The answer is {=}."
    return f"The answer is {{=}} {noun}."
