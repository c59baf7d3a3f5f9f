r"""Read a reference; its kind decides how answers are compared with it."""

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from duet_contract.answers.boxed import last_boxed
from duet_contract.answers.equations import stated
from duet_contract.answers.plain import plain
from duet_contract.answers.quantities import WrittenQuantity
from duet_contract.answers.worked import final_line

_LETTER = re.compile(r"\(?([A-Z])\)?[.)]?|\(([a-z])\)[.]?")
_WORDS = re.compile(r"[^\W\d_]{3,}\.?|[^\W\d_]{3,}[\s,.'-]+.*|.*[\s'-][^\W\d_]{3,}[.!]?", re.DOTALL)
_FORMULA = re.compile(r"[\d=<>≤≥≠√^_\\∪∩∈±∞·×÷{}|/*+]")


class ReferenceKind(Enum):
    """What a reference is."""

    NUMBER = "number"
    CHOICE = "choice"
    EXPRESSION = "expression"
    TEXT = "text"


@dataclass(frozen=True)
class Reference:
    """A reference as it was read."""

    kind: ReferenceKind
    """Kind of the reference."""
    raw: str
    """LaTeX, without a box around it."""
    text: str
    """Plain text; of a choice, its letter."""
    numbers: tuple[WrittenQuantity, ...] = ()
    """Of a number, its readings; see `stated`."""
    computed: bool = True
    """False for arithmetic, which answers may then leave uncomputed as well."""


@lru_cache(maxsize=4096)
def read_reference(reference: str, kind: ReferenceKind | None = None) -> Reference:
    r"""Read the reference that an answer is compared with.

    Args:
        reference: LaTeX or text, in a box or not, or a worked solution that ends in "#### 72".
        kind: what it is; found out if None.

    Returns:
        The reference. One capital is a choice, words are text, a number is what `stated` reads.

    Examples:
        >>> references = (r"\frac{3}{4}", "(B)", "x + 1", "Tuesday")
        >>> [read_reference(each).kind.value for each in references]
        ['number', 'choice', 'expression', 'text']
    """
    raw = last_boxed(reference) or final_line(reference)
    text = plain(raw)
    if text is None:
        return Reference(kind or ReferenceKind.TEXT, raw, raw)
    if kind in (None, ReferenceKind.CHOICE) and (letter := _LETTER.fullmatch(text)):
        return Reference(ReferenceKind.CHOICE, raw, (letter[1] or letter[2]).upper())
    if kind is ReferenceKind.CHOICE:
        return Reference(kind, raw, text.strip("(). ").upper())
    for computed in (True, False):
        if kind in (None, ReferenceKind.NUMBER) and (numbers := stated(text, computed=computed)):
            return Reference(ReferenceKind.NUMBER, raw, text, numbers, computed)
    if kind is None:
        is_text = _WORDS.fullmatch(text) and not _FORMULA.search(text)
        kind = ReferenceKind.TEXT if is_text else ReferenceKind.EXPRESSION
    return Reference(kind, raw, text)
