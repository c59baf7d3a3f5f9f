r"""Compare expressions other than numbers: sets, intervals, tuples, algebra.

Without a computer algebra system, two expressions are equal if their texts are equal. Typesetting
does not count, numbers are compared by value, and sets have no order. A `Comparison` needs a
computer algebra system.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from duet_contract.answers.equations import stated
from duet_contract.answers.quantities import same_quantity

MAX_EXPRESSION = 500
"""Characters; a longer one is compared by its text alone."""
_MAX_DEPTH = 8
_OPENING, _CLOSING = "([{", ")]}"
_MATRIX = re.compile(r"\\begin\{([pbvB]?matrix)\}(.*)\\end\{\1\}", re.DOTALL)
_LETTER = re.compile(r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])")
_NAMED = re.compile(r"([A-Za-z](?:_\w+)?(?:\([a-z]\))?)\s*[=∈]\s*(?=\S)")
# A number in a base, such as 52_8, of which algebra systems see the digits alone.
_BASED = re.compile(r"(\d[\dA-F]*)_\(?\d+\)?")
_JOINED = re.compile(r",?\s+(?:and|or)\s+")
_ARITHMETIC = re.compile(r"(?=.*\d)[\d\s.,()+*·×/÷^!-]+")
_HUGE = re.compile(
    r"!|\\(?:binom|sum|prod|int)|\^\s*[({]?[^)}]*\^|\d{60}|(?:\^\s*[({]?|[eE])[-+]?\d{4}"
)


@dataclass(frozen=True)
class Comparison:
    """Two expressions whose text differs."""

    reference: str
    """LaTeX of the reference."""
    given: str
    """LaTeX of the answer."""


def compare(reference: tuple[str, str], given: tuple[str, str]) -> bool | Comparison:
    r"""Return whether an answer is the reference's expression.

    Args:
        reference: its LaTeX, and its plain text.
        given: the answer's.

    Returns:
        True if their texts are equal. False if the answer cannot be right: a number that was not
        computed, or an expression that is too large. Otherwise the comparison that remains.

    Examples:
        >>> compare((r"\{1, 2\}", "{1, 2}"), (r"\{2,1\}", "{2,1}"))
        True
        >>> compare((r"2\sqrt5", "2√5"), (r"\sqrt{20}", "√20"))
        Comparison(reference='2\\sqrt5', given='\\sqrt{20}')
        >>> compare(("(4, 2)", "(4, 2)"), ("(2+2, 2)", "(2+2, 2)"))
        False
    """
    if same_text(reference[1], given[1]):
        return True
    if any(
        len(latex) > MAX_EXPRESSION or _HUGE.search(latex) for latex in (reference[0], given[0])
    ):
        return False
    if _BASED.search(reference[1]) or _BASED.search(given[1]):
        return False
    if _other_case(reference[1], given[1]) or not _as_computed(reference[1], given[1]):
        return False
    return Comparison(reference[0], given[0])


def same_text(reference: str, given: str) -> bool:
    """Return whether two plain texts are the same expression, as far as text can tell.

    Examples:
        >>> same_text("(1/2, 3)", "(0.5,3)")
        True
        >>> same_text("x+1", "1 + x")
        True
        >>> same_text("(1, 2)", "(2, 1)")
        False
    """
    if _same(reference, given, 0):
        return True
    # A question that asks for a number in base 8 names the base.
    if (based := _BASED.fullmatch(reference)) and based[1] == given:
        return True
    # "y = 2x" answers "2x", and the other way round.
    left, right = _NAMED.match(reference), _NAMED.match(given)
    if bool(left) == bool(right):
        return False
    return _same(reference[left.end() if left else 0 :], given[right.end() if right else 0 :], 0)


def _same(reference: str, given: str, depth: int) -> bool:
    if _tight(reference) == _tight(given):
        return True
    wanted = stated(reference)
    if wanted:
        return any(same_quantity(one, other) for one in wanted for other in stated(given))
    if depth > _MAX_DEPTH:
        return False
    shape, parts = _parts(reference)
    other_shape, others = _parts(given)
    if shape != other_shape or len(parts) != len(others):
        return False
    if shape == "":  # No list: a sum, in any order.
        terms, other_terms = _terms(reference), _terms(given)
        return len(terms) > 1 and sorted(terms) == sorted(other_terms)
    if shape in ("{}", "∪"):
        return _matched(parts, others, lambda one, other: _same(one, other, depth + 1))
    return all(_same(one, other, depth + 1) for one, other in zip(parts, others, strict=True))


def _matched(parts: list[str], others: list[str], same: Callable[[str, str], bool]) -> bool:
    left = list(others)
    for part in parts:
        found = next((index for index, other in enumerate(left) if same(part, other)), None)
        if found is None:
            return False
        del left[found]
    return True


def _parts(text: str) -> tuple[str, list[str]]:
    """Return the brackets of a list and its elements; "" and the text if it is not a list.

    A list without brackets is a set, since nothing says that its order counts.
    """
    text = text.strip()
    if matrix := _MATRIX.fullmatch(text):
        return matrix[1], re.split(r"\\\\|&", matrix[2])
    if len(unions := _split(text, "∪")) > 1:
        return "∪", unions
    if text[:1] in list(_OPENING) and text[-1:] in list(_CLOSING) and _closes_at_end(text):
        elements = _split(text[1:-1], ",;")
        return text[0] + text[-1], elements
    elements = _split(_JOINED.sub(", ", text), ",;")
    if len(elements) > 1:
        return "{}", elements
    return "", [text]


def _closes_at_end(text: str) -> bool:
    depth = 0
    for index, character in enumerate(text):
        depth += (character in _OPENING) - (character in _CLOSING)
        if depth == 0:
            return index == len(text) - 1
    return False


def _split(text: str, separators: str) -> list[str]:
    """Split where no bracket is open."""
    parts, start, depth = list[str](), 0, 0
    for index, character in enumerate(text):
        depth += (character in _OPENING) - (character in _CLOSING)
        if depth == 0 and character in separators:
            parts.append(text[start:index].strip())
            start = index + 1
    return [*parts, text[start:].strip()]


def _terms(text: str) -> list[str]:
    """Return the terms of a sum with their signs."""
    text = _tight(text)
    cuts, depth = [0], 0
    for index, character in enumerate(text):
        depth += (character in _OPENING) - (character in _CLOSING)
        if depth == 0 and index and character in "+-" and text[index - 1] not in "+-*/^_=(<>":
            cuts.append(index)
    terms = [text[start:end] for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True)]
    if any(mark in text for mark in "=<>≤≥≈,"):
        return [text]
    return [term if term[:1] in ("+", "-") else f"+{term}" for term in terms]


def _tight(text: str) -> str:
    """Remove blanks and the multiplication signs that can be omitted."""
    text = re.sub(r"\s+", "", text).rstrip(".")
    text = re.sub(r"(?<!\d)[·*×]|[·*×](?!\d)", "", text)
    return re.sub(r"\(([A-Za-z]|\d+)\)(?!\w)", r"\1", text) if "√(" in text else text


def _other_case(reference: str, given: str) -> bool:
    """Return whether an answer names an unknown of the reference in the other case, as K for k."""
    wanted, found = set(_LETTER.findall(reference)), set(_LETTER.findall(given))
    return any(letter.swapcase() in wanted for letter in found - wanted)


def _as_computed(reference: str, given: str) -> bool:
    """Return whether an answer has a number, not arithmetic, wherever the reference has one."""
    if _undone(given, 0) and not _undone(reference, 0):
        return False
    shape, parts = _parts(reference)
    other_shape, others = _parts(given)
    if not shape or shape != other_shape or len(parts) != len(others):
        return True
    wanted, found = [bool(stated(part)) for part in parts], [bool(stated(part)) for part in others]
    if shape in ("{}", "∪"):
        return sum(found) >= sum(wanted)
    return all(one or not other for one, other in zip(found, wanted, strict=True))


def _undone(text: str, depth: int) -> bool:
    """Return whether a part of a list, or all of it, is arithmetic of numbers that was not done."""
    shape, parts = _parts(text)
    if shape and depth <= _MAX_DEPTH:
        return any(_undone(part, depth + 1) for part in parts)
    return any(_ARITHMETIC.fullmatch(side) and not stated(side) for side in re.split("[=≈]", text))
