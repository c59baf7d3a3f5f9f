"""Mask the quantities of a question, so that no digit of it leaves the device."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction

from duet_contract.quantities.labels import LABEL, label, label_names
from duet_contract.quantities.numerals import Kind, find_numerals


@dataclass(frozen=True)
class Quantity:
    """A number of the question."""

    name: str
    """Its name in formulas; the masked question has it in brackets."""
    source: str
    """Its text in the question."""
    value: Fraction | None
    """None if there is nothing to compute with, as for dates."""
    kind: Kind
    """How the number is written."""


@dataclass(frozen=True)
class Masked:
    """A question whose quantities are labels."""

    text: str
    """What may leave the device: no character of category Nd, Nl or No."""
    quantities: tuple[Quantity, ...]
    """In the order of the question; these stay on the device."""
    from_notes: int = 0
    """So many of the first quantities are from notes, and a formula need not use them."""

    def find(self, name: str) -> Quantity | None:
        """Return the quantity of that name."""
        return next((each for each in self.quantities if each.name == name), None)


def mask(question: str, kept: Collection[str] = ()) -> Masked:
    """Replace every quantity of a question by a label.

    The same number twice gets two labels, and a label tells nothing about values, only whether the
    number is written as a fraction (`duet_contract.quantities.labels`). A label that the question
    contains already is skipped. `duet_contract.quantities.numerals` says which
    numbers are quantities.

    Args:
        question: any text.
        kept: strings that stay as they are wherever they occur, such as the placeholders
            (`[NAME_1]`) that a redaction has put into the question.

    Returns:
        The masked question; `unmask` gives the question again.

    Examples:
        >>> masked = mask("Nina had 40 euros. She bought three books for 8 euros each.")
        >>> masked.text
        'Nina had [a] euros. She bought [b] books for [c] euros each.'
        >>> [str(quantity.value) for quantity in masked.quantities]
        ['40', '3', '8']
        >>> mask("Of 60 pupils 2/5 walk.").text
        'Of [a] pupils [x] walk.'
    """
    names, fractions = label_names(question), label_names(question, fractions=True)
    parts: list[str] = []
    quantities: list[Quantity] = []
    # The group of the pattern puts what is kept at odd places.
    pattern = "|".join(map(re.escape, kept))
    pieces = re.split(f"({pattern})", question) if pattern else [question]
    for number, piece in enumerate(pieces):
        place = 0
        for numeral in find_numerals(piece) if number % 2 == 0 else ():
            name = next(fractions if numeral.kind == "fraction" else names)
            source = piece[numeral.start : numeral.end]
            parts += piece[place : numeral.start], label(name)
            quantities.append(Quantity(name, source, numeral.value, numeral.kind))
            place = numeral.end
        parts.append(piece[place:])
    return Masked("".join(parts), tuple(quantities))


def unmask(masked: Masked) -> str:
    """Put the quantities in again; the inverse of `mask`.

    Examples:
        >>> unmask(mask("3kg of ½ a 10-year-old's x²"))
        "3kg of ½ a 10-year-old's x²"
    """
    return fill_labels(masked.text, masked.quantities)


def fill_labels(text: str, quantities: tuple[Quantity, ...]) -> str:
    """Replace the labels of these quantities in any text by their source text."""
    sources = {quantity.name: quantity.source for quantity in quantities}
    return LABEL.sub(lambda found: sources.get(found[1], found[0]), text)
