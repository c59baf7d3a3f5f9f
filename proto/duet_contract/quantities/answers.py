"""Make the answer of a pair with private quantities from what its two models wrote."""

from dataclasses import dataclass

from duet_contract.errors import FormulaError, NoFormula
from duet_contract.quantities.checks import Checks, check, result_of
from duet_contract.quantities.computing import Value, compute
from duet_contract.quantities.masking import Masked
from duet_contract.quantities.rounding import asked, written
from duet_contract.quantities.sentences import asked_by, fill, plain_sentence

OUT_OF_REACH = "This pair answers arithmetic word problems in English."
"""The answer to a question that no formula answers."""


@dataclass(frozen=True)
class ComputedAnswer:
    """What a pair with private quantities answers."""

    text: str
    """For the user, with numbers; if there is no value, why not."""
    value: str = ""
    """The result as the text writes it; empty without one."""
    work: tuple[str, ...] = ()
    """The steps with numbers: `3*8=24`."""
    doubts: tuple[str, ...] = ()
    """Reasons to mark the answer, each a phrase."""
    checks: Checks | None = None
    """None if there is no value."""

    @property
    def failed(self) -> bool:
        """Whether the formula gives no result that can be right; another may then be requested."""
        return self.checks.impossible if self.checks else self.text != OUT_OF_REACH


def answer_of(
    masked: Masked,
    signal: str | None,
    sentence: str = "",
    *,
    cut: bool = False,
    whole: bool = True,
) -> ComputedAnswer:
    """Compute a signal's formula and complete the decoder's sentence; never raise.

    Args:
        masked: the question.
        signal: the formula; None if the decoder answers alone and its sentence has the formula.
        sentence: of the decoder, with formulas in braces. A plain sentence takes its place if it
            is empty or cannot be completed.
        cut: whether the signal ended at its budget.
        whole: whether the reasoner ended the signal. The sentence may know better than a part of a
            formula; it does not know better than a whole one.

    Examples:
        >>> from duet_contract.quantities import mask
        >>> question = mask("Nina had 40 euros. She bought 3 books for 8 euros each. "
        ...     "How many euros are left?")
        >>> found = answer_of(question, "b*c=A;a-A", "Nina has {=} euros left.")
        >>> found.text, found.work
        ('Nina has 16 euros left.', ('3*8=24', '40-24=16'))
        >>> answer_of(question, "b*c=A;a/(A-A)").text
        'No answer: the formula divides by zero.'
    """
    value: Value | None = None
    failure: FormulaError | None = None
    if signal is not None:
        try:
            value = compute(signal, masked.quantities)
        except NoFormula as error:
            return ComputedAnswer(OUT_OF_REACH, doubts=(str(error),))
        except FormulaError as error:
            failure = error
    # A sentence may have the formula that the signal lacks.
    text = ""
    try:
        text, said = fill(sentence, masked, value)
        if value is None or cut or not whole or _agree(value, said):
            value = said
        else:
            text = ""
    except FormulaError as error:
        if signal is None:
            if sentence.strip() == OUT_OF_REACH:
                return ComputedAnswer(OUT_OF_REACH, doubts=("no formula answers the question",))
            failure = error
    if value is None:
        # With a signal, its own failure says more than the sentence's.
        reason = str(failure)
        return ComputedAnswer(f"No answer: {reason}.", doubts=(reason,))
    if not text:
        sentence = plain_sentence(masked.text, asked(masked.text))
        text, value = fill(sentence, masked, value)
    found = check(masked, value)
    doubts = [*(["the signal was cut at its budget"] if cut else []), *_doubts(found, masked)]
    return ComputedAnswer(
        text,
        written(result_of(masked, value), asked_by(masked, sentence, value)),
        tuple(map(str, value.work)),
        tuple(doubts),
        found,
    )


def _agree(value: Value, said: Value) -> bool:
    """Return whether a sentence says the signal's result, or continues from it."""
    return said.value == value.value or value.work[-1].name in said.used


def _doubts(found: Checks, masked: Masked) -> list[str]:
    doubts = []
    if found.unused:
        doubts.append(f"the formula leaves out {found.unused} of the question's numbers")
    if masked.quantities and found.unused == len(masked.quantities):
        doubts = ["the formula uses no number of the question"]
    if found.negative:
        doubts.append("a result is negative")
    if found.fractional:
        doubts.append("a count is not a whole number")
    if found.unlike_units:
        doubts.append("the formula adds unlike units")
    if found.wrong_unit:
        doubts.append("the result's unit is not the one asked for")
    return doubts
