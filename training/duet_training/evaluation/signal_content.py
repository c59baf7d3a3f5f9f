"""What a signal carries: where it states the answer, and signals with a part taken away.

If a decoder answers only where the signal states the answer, it copies; if it answers from signals
whose answer was removed, it computes. Removed spans are replaced by a sentinel each. The placebo
removes spans of the same lengths elsewhere, and tells what any damage costs.
"""

import random
import re
from collections.abc import Sequence
from fractions import Fraction

from duet_contract.answers import ReferenceKind
from duet_contract.answers.reference import read_reference

Span = tuple[int, int]

SENTINELS = {"removed": "", "question mark": "?", "mask": "[...]"}
"""Replacements of a removed span, by name."""
PLACEBO = "placebo"
SHARES = (0.25, 0.5, 0.75, 1.0)
"""Shares of a signal's tokens, from its start, that the decoder reads."""

# A sign only where no digit, letter or bracket before it makes it a minus.
_NUMBER = re.compile(r"(?<![\w.)\]}])-?\d[\d,]*(?:\.\d+)?|(?<![\w.])\d[\d,]*(?:\.\d+)?")


def answer_spans(signal: str, reference: str) -> list[Span]:
    r"""Find where a signal states the reference.

    A number is found by its value, any other reference by its text between word boundaries.

    Returns:
        Start and end of each place, ascending, without overlaps.

    Examples:
        >>> answer_spans("3*4=12. 12+5=17. So 17.0.", "17")
        [(13, 15), (20, 24)]
        >>> answer_spans("117 - 17.5", "17")
        []
        >>> answer_spans(r"so \frac{3}{4}", r"\frac{3}{4}")
        [(3, 14)]
    """
    read = read_reference(reference)
    values = {each.value for each in read.numbers} if read.kind is ReferenceKind.NUMBER else set()
    spans = [
        found.span() for found in _NUMBER.finditer(signal) if values and _value(found[0]) in values
    ]
    texts = {text for text in (read.raw, read.text) if text and not (values and _plain(text))}
    for text in texts:
        spans += [found.span() for found in re.finditer(_bounded(text), signal)]
    kept: list[Span] = []
    for start, end in sorted(spans):
        if not kept or start >= kept[-1][1]:
            kept.append((start, end))
    return kept


def without(signal: str, spans: Sequence[Span], sentinel: str) -> str:
    """Return a signal with a sentinel in place of each span.

    Examples:
        >>> without("12+5=17.", [(5, 7)], "?")
        '12+5=?.'
    """
    parts, last = [], 0
    for start, end in spans:
        parts += [signal[last:start], sentinel]
        last = end
    return "".join([*parts, signal[last:]])


def placebo_spans(signal: str, spans: Sequence[Span], seed: str) -> list[Span]:
    """Draw spans as long as the given ones that touch none of them.

    Returns:
        As many as there is room for, ascending; the same seed gives the same ones.

    Examples:
        >>> placebo_spans("12+5=17", [(5, 7)], "0")[0][1] <= 5
        True
    """
    rng, taken = random.Random(seed), list(spans)
    drawn: list[Span] = []
    for start, end in spans:
        length = end - start
        free = [
            at
            for at in range(len(signal) - length + 1)
            if all(at + length <= low or at >= high for low, high in taken)
        ]
        if free:
            at = rng.choice(free)
            drawn.append((at, at + length))
            taken.append(drawn[-1])
    return sorted(drawn)


def edited(signal: str, reference: str, seed: str) -> dict[str, str]:
    """Return the signal without its answer, by each sentinel, and with the placebo removed."""
    spans = answer_spans(signal, reference)
    texts = {name: without(signal, spans, sentinel) for name, sentinel in SENTINELS.items()}
    return {**texts, PLACEBO: without(signal, placebo_spans(signal, spans, seed), "")}


def _value(text: str) -> Fraction:
    return Fraction(text.replace(",", "").rstrip("."))


def _plain(text: str) -> bool:
    """Whether a number's text is found by its value already."""
    return _NUMBER.fullmatch(text) is not None


def _bounded(text: str) -> str:
    before = r"(?<!\w)" if text[0].isalnum() else ""
    behind = r"(?!\w)" if text[-1].isalnum() else ""
    return before + re.escape(text) + behind
