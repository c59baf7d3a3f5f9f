r"""Decide whether an answer is right, by the same rule in training, evaluation and bench.

What the reference is (see `read_reference`) decides how an answer is compared with it. The answer
is the last `\boxed{...}`, or what follows a last "####"; without either, the final answer in its prose.
"""

import re
from collections.abc import Callable

from duet_contract.answers.boxed import last_boxed
from duet_contract.answers.choices import chosen, chosen_in_prose
from duet_contract.answers.equations import stated
from duet_contract.answers.expressions import Comparison, compare
from duet_contract.answers.final import end_of, marked, statement
from duet_contract.answers.plain import plain
from duet_contract.answers.prose import last_number
from duet_contract.answers.quantities import same_quantity
from duet_contract.answers.reference import Reference, ReferenceKind, read_reference

_MATH = re.compile(r"\$([^$]+)\$|\\\((.+?)\\\)", re.DOTALL)


def decide(
    answer: str,
    reference: str,
    *,
    computed: bool = True,
    boxed: bool = False,
    kind: ReferenceKind | None = None,
) -> bool | Comparison:
    r"""Return whether an answer is right, as far as text and exact numbers can tell.

    Args:
        answer: what a model wrote.
        reference: what is right: LaTeX or text, in a box or not.
        computed: whether a number must be computed; False where the pair declares that its device
            computes, and then arithmetic is evaluated.
        boxed: whether an answer outside a box is wrong, as in training.
        kind: what the reference is; found out if None.

    Returns:
        Whether it is right; of an expression whose text differs from the reference's, the
        comparison that is left to a computer algebra system. Time is linear in the length of the
        answer, and nothing is raised.

    Examples:
        >>> decide(r"so \boxed{42.}", "42")
        True
        >>> decide(r"\boxed{12\cdot 17}", "204")
        False
        >>> decide(r"\boxed{12\cdot 17}", "204", computed=False)
        True
        >>> decide(r"\boxed{5\text{ m}}", r"5\text{ cm}")
        False
        >>> decide(r"\boxed{\sqrt{20}}", r"2\sqrt{5}")
        Comparison(reference='2\\sqrt{5}', given='\\sqrt{20}')
    """
    wanted = read_reference(reference, kind)
    given = last_boxed(answer) if boxed else marked(answer)
    if boxed and given is None:
        return False
    if given is not None and given.strip() == wanted.raw.strip():
        return True
    text = end_of(answer) if given is None else plain(given)
    if not text or not wanted.text:
        return False
    if wanted.kind is ReferenceKind.NUMBER:
        return _same_number(wanted, text, marked=given is not None, computed=computed)
    if wanted.kind is ReferenceKind.CHOICE:
        return (chosen_in_prose(text) if given is None else chosen(text)) == wanted.text
    if wanted.kind is ReferenceKind.TEXT:
        return _words(text if given is not None else statement(text)) == _words(wanted.text)
    return _same_expression(wanted, answer, given, text)


def is_right(
    answer: str,
    reference: str,
    *,
    computed: bool = True,
    boxed: bool = False,
    kind: ReferenceKind | None = None,
    equal: Callable[[Comparison], bool] | None = None,
) -> bool:
    r"""Return whether an answer is right.

    Args:
        answer: what a model wrote.
        reference: what is right.
        computed: see `decide`.
        boxed: see `decide`.
        kind: see `decide`.
        equal: decides what is left to a computer algebra system, such as
            math-verify in a process that can be stopped. Without one,
            expressions whose text differs are wrong.

    Examples:
        >>> is_right("She pays $29.00.", "29")
        True
        >>> is_right(r"\boxed{1 + x}", "x+1"), is_right(r"\boxed{\sqrt{20}}", r"2\sqrt{5}")
        (True, False)
    """
    verdict = decide(answer, reference, computed=computed, boxed=boxed, kind=kind)
    if isinstance(verdict, Comparison):
        return equal is not None and equal(verdict)
    return verdict


def _same_number(wanted: Reference, text: str, *, marked: bool, computed: bool) -> bool:
    # A reference that is arithmetic itself asks for no more than that.
    computed = computed and wanted.computed
    if marked:
        found = stated(text, computed=computed)
    else:
        number = last_number(text, computed=computed)
        found = number.numbers if number else ()
    return any(same_quantity(one, other) for one in wanted.numbers for other in found)


def _same_expression(
    wanted: Reference, answer: str, given: str | None, text: str
) -> bool | Comparison:
    if given is not None:
        return compare((wanted.raw, wanted.text), (given, text))
    # In prose: what is set as mathematics last, else the sentence that answers.
    formulas = [found[1] or found[2] for found in _MATH.finditer(answer[-len(text) - 200 :])]
    last = formulas[-1] if formulas else statement(text)
    shown = plain(last)
    return compare((wanted.raw, wanted.text), (last, shown)) if shown else False


def _words(text: str) -> str:
    """Without case, closing punctuation and runs of blanks."""
    return " ".join(text.casefold().strip(" .,;!\"'()").split())
