r"""The final answer of a response, as a person writes it, and its number."""

import re
from dataclasses import dataclass
from fractions import Fraction

from duet_contract.answers.boxed import last_boxed
from duet_contract.answers.equations import stated
from duet_contract.answers.plain import plain
from duet_contract.answers.prose import MAX_PROSE, last_number
from duet_contract.answers.worked import after_hashes

_CUE = re.compile(r"\banswer\b\s*(?:(?:is|would be|will be)\b|[:=])[\s:]*", re.IGNORECASE)


@dataclass(frozen=True)
class FinalAnswer:
    """What a response settles on."""

    text: str
    """As a person writes it, such as "3/4", "5 cm" or "Tuesday"."""
    value: Fraction | None
    """Its number without a unit; None for anything else, and for arithmetic that was not done."""


def marked(response: str) -> str | None:
    r"""Return what a response marks as its answer: the last box, or what follows a last "####".

    Examples:
        >>> marked(r"so \boxed{x=5}")
        'x=5'
    """
    return last_boxed(response) or after_hashes(response[-MAX_PROSE:]) or None


def end_of(response: str) -> str:
    """Return the end of a response in plain text, for an answer that is marked nowhere."""
    return plain(response[-MAX_PROSE:], MAX_PROSE) or ""


def statement(text: str) -> str:
    r"""Return the sentence with the answer: after the last "answer is", else the last line.

    Examples:
        >>> statement("Well.\nThe answer is Paris.")
        'Paris'
    """
    line = next((line for line in reversed(text.strip().splitlines()) if line.strip()), "")
    cues = list(_CUE.finditer(line))
    return (line[cues[-1].end() :] if cues else line).strip(" .")


def final_answer(response: str) -> FinalAnswer | None:
    r"""Return the final answer of a response: its box, else what its prose settles on.

    Args:
        response: what a model wrote.

    Returns:
        The answer; None for an empty response, and for a marked answer that is too long.

    Examples:
        >>> final_answer(r"She has \boxed{\frac{3}{4}} left.")
        FinalAnswer(text='3/4', value=Fraction(3, 4))
        >>> final_answer("The answer is 16 apples.").value
        Fraction(16, 1)
        >>> final_answer(r"\boxed{\text{Tuesday}}")
        FinalAnswer(text='Tuesday', value=None)
    """
    found = marked(response)
    text = end_of(response) if found is None else plain(found)
    if not text:
        return None
    if found is not None:
        numbers = stated(text)
        return FinalAnswer(text, numbers[-1].value if numbers else None)
    number = last_number(text)
    if number is None:
        return FinalAnswer(statement(text), None)
    return FinalAnswer(number.text, number.numbers[-1].value)
