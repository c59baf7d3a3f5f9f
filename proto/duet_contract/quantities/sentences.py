"""Sentences around results: those that a decoder writes, and plain ones that need no decoder."""

import re

from duet_contract.errors import FormulaError
from duet_contract.quantities.checks import result_of
from duet_contract.quantities.computing import Value, compute
from duet_contract.quantities.masking import Masked, fill_labels
from duet_contract.quantities.rounding import Asked, asked, written

RESULT = "{=}"
"""Takes the result of the signal's formula."""
_HOLE = re.compile(r"\{([^{}]*)\}")
# Labels, and placeholders of a redaction, which may have digits.
_BRACKETS = re.compile(r"\[[^\[\]]*\]")
_MANY = re.compile(r"\bhow many ((?:(?:more|fewer|total|other|full) )?[^\W\d_]+)", re.IGNORECASE)
_NO_NOUN_WORDS = "did does do is are was were will would can could has have of"
_NO_NOUN = frozenset(_NO_NOUN_WORDS.split())
_OF_MONEY = re.compile(r"[$\u20ac\u00a3]\{|\} (?:dollars|euros)\b")
_OF_POUNDS = re.compile(r"\} pounds\b")


def fill(sentence: str, masked: Masked, value: Value | None) -> tuple[str, Value]:
    """Compute the formulas in a sentence and insert its numbers.

    Args:
        sentence: with formulas in braces, `{=}` for the signal's result, and labels. A formula may
            use the steps of the signal's: `{a-A}`.
        masked: the question.
        value: what the signal's formula gives; None if there is no signal.

    Returns:
        The sentence, and what it says: the signal's result if it has that, else its last formula's.

    Raises:
        FormulaError: the sentence has no formula in braces, or one cannot be computed; with a
            signal, also if it has the result twice, a single brace, or digits of its own.

    Examples:
        >>> from duet_contract.quantities import compute, mask
        >>> question = mask("Nina had 40 euros and spent 24. How many euros are left?")
        >>> text, value = fill(
        ...     "Of [a] euros, {=} are left.", question, compute("a-b", question.quantities)
        ... )
        >>> text
        'Of 40 euros, 16 are left.'
    """
    holes = [hole.strip() for hole in _HOLE.findall(sentence)]
    if not holes:
        raise FormulaError("the sentence has no formula in braces")
    rest = _BRACKETS.sub("", _HOLE.sub("", sentence))
    stray = holes.count(RESULT.strip("{}")) > 1 or any(c in "{}" or c.isdecimal() for c in rest)
    if value and stray:
        raise FormulaError(
            "the sentence has the result twice, a single brace, or digits of its own"
        )
    what, signal = asked_by(masked.text, sentence), RESULT.strip("{}")
    if signal in holes and value is None:
        raise FormulaError("the sentence takes the signal's result, and there is no signal")
    before = "".join(f"{step.formula}={step.name};" for step in value.work) if value else ""
    results = [
        value if value and hole == signal else compute(before + hole, masked.quantities)
        for hole in holes
    ]
    numbers = iter(results)
    # Labels first: no hole has brackets, and no number becomes a label.
    text = _HOLE.sub(
        lambda _: written(result_of(masked, next(numbers)), what),
        fill_labels(sentence, masked.quantities),
    )
    return text, value if value and signal in holes else results[-1]


def asked_by(question: str, sentence: str) -> Asked:
    """Return what a question asks for; the sentence of its answer may say that it is money.

    Args:
        question: masked.
        sentence: with `{=}` or other formulas in braces.

    Examples:
        >>> asked_by("One pen is $[a]. What is it for [b]?", "It is {=} dollars.").sort
        'money'
    """
    what = asked(question)
    says_money = _OF_MONEY.search(sentence) or ("£" in question and _OF_POUNDS.search(sentence))
    return Asked("money", None) if what.sort == "number" and says_money else what


def plain_sentence(question: str, what: Asked) -> str:
    """Return a sentence around `{=}`, the result, for questions that come without one of their own.

    Args:
        question: masked.
        what: `asked` of it.

    Examples:
        >>> question = "Ann has [a] pens and sells [b]. How many pens are left?"
        >>> plain_sentence(question, asked(question))
        'The answer is {=} pens.'
    """
    found = _MANY.findall(question)
    noun = found[-1].lower() if found else ""
    if what.sort == "percent":
        return f"The answer is {RESULT}%."
    sign = next((sign for sign in "$€£" if sign in question), "")
    if sign and what.sort == "money" and noun not in ("cents", "pennies"):
        return f"The answer is {sign}{RESULT}."
    if not noun or noun.split()[-1] in _NO_NOUN:
        return f"The answer is {RESULT}."
    return f"The answer is {RESULT} {noun}."
