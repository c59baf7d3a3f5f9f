"""Fills the sentence that a decoder wrote around formulas: "Nina has {a-b*c} euros left."."""

import re
from collections.abc import Sequence

from duet_contract.errors import FormulaError
from duet_contract.quantities.computing import Value, compute
from duet_contract.quantities.masking import Quantity, fill_labels
from duet_contract.quantities.rounding import Asked, written

_HOLE = re.compile(r"\{([^{}]*)\}")
ANSWER = "="
"""A hole with this alone takes the signal's own result."""


def fill(sentence: str, value: Value, quantities: Sequence[Quantity], what: Asked) -> str:
    """Computes the formulas in a sentence and puts its numbers in.

    Args:
        sentence: with formulas in braces, `{=}` for the signal's result, and labels. A formula may
            use the steps of the signal's: `{a-A}`.
        value: what the signal's formula gives.
        quantities: of the question.
        what: what the question asks for, which says how results are written.

    Raises:
        FormulaError: the sentence has no formula in braces, or one cannot be computed.

    Examples:
        >>> from duet_contract.quantities import asked, compute, mask
        >>> question = mask("Nina had 40 euros and spent 24. How many euros are left?")
        >>> value = compute("a-b", question.quantities)
        >>> fill("Of [a] euros, {=} are left.", value, question.quantities, asked(question.text))
        'Of 40 euros, 16 are left.'
    """
    if not _HOLE.search(sentence):
        raise FormulaError("the sentence has no formula in braces")

    steps = {step.name: step.result for step in value.work}

    def number(hole: re.Match[str]) -> str:
        given = hole[1].strip()
        result = value if given == ANSWER else compute(given, quantities, steps)
        return written(result.value, what)

    return _HOLE.sub(number, fill_labels(sentence, tuple(quantities)))
