"""A word problem, its formula and its answer."""

from dataclasses import dataclass

from duet_contract.quantities import Masked, mask


@dataclass(frozen=True)
class MaskedProblem:
    """A training or test problem of a pair with private quantities."""

    id: str
    """Id of the problem."""
    question: str
    """With its numbers, as a user asks it."""
    formula: str
    """Over the labels of `masked`, in canonical form."""
    answer: str
    """The reference: a whole number or decimal."""
    kind: str
    """Source: `annotated`, or the family of its template."""
    sentence: str = ""
    """The answer as a sentence around a formula in braces; empty if the problem has no sentence."""

    @property
    def masked(self) -> Masked:
        """The question without its quantities."""
        return mask(self.question)
