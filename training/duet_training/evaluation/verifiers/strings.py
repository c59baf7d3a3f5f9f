"""Verifiers that compare what an answer says, here and now: numbers, letters, strings."""

import io
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import redirect_stdout

from duet_contract.answers import ReferenceKind, is_right
from duet_contract.answers.choices import chosen
from duet_contract.answers.plain import plain
from duet_training.evaluation.verifiers.base import Truth

_EXAMPLES: dict[ReferenceKind, tuple[tuple[str, Truth, float], ...]] = {
    ReferenceKind.CHOICE: (
        (r"\boxed{B}", Truth("B"), 1.0),
        (r"\boxed{\text{(b)}}", Truth("B"), 1.0),
        (r"\boxed{C}", Truth("B"), 0.0),
        (r"\boxed{B or C}", Truth("B"), 0.0),
        ("B", Truth("B"), 0.0),
    ),
    ReferenceKind.NUMBER: (
        (r"Tom has 12 apples. \boxed{12}", Truth("12"), 1.0),
        (r"\boxed{3}, no, \boxed{ 012 }", Truth("12"), 1.0),
        (r"\boxed{13}", Truth("12"), 0.0),
        ("12", Truth("12"), 0.0),
        (r"\boxed{twelve}", Truth("12"), 0.0),
    ),
}
_SUM = r"\boxed{7+5}"


class _AtOnce(ABC):
    """Judges each answer by itself."""

    @abstractmethod
    def _is_right(self, response: str, reference: str) -> bool: ...

    def score(self, responses: Sequence[str], truths: Sequence[Truth]) -> list[float]:
        """See `Verifier`."""
        pairs = zip(responses, truths, strict=True)
        return [float(self._is_right(response, truth.answer)) for response, truth in pairs]

    def close(self) -> None:
        """See `Verifier`."""


class BoxedVerifier(_AtOnce):
    r"""Scores 1 if the last \boxed{...} holds the reference's letter (GPQA) or number, else 0.

    It compares values without algebra.
    """

    def __init__(self, kind: ReferenceKind, *, computed: bool = True) -> None:
        """Set what references are, and whether numbers must be computed."""
        self._kind, self._computed = kind, computed

    def _is_right(self, response: str, reference: str) -> bool:
        return is_right(response, reference, boxed=True, kind=self._kind, computed=self._computed)

    def examples(self) -> Sequence[tuple[str, Truth, float]]:
        """See `Verifier`."""
        if self._kind is ReferenceKind.CHOICE:
            return _EXAMPLES[self._kind]
        return (*_EXAMPLES[self._kind], (_SUM, Truth("12"), float(not self._computed)))


_LINE = re.compile(r"\banswer\W{0,4}?:[ \t]*([^\n]*)", re.IGNORECASE)


class LetterVerifier(_AtOnce):
    """Scores 1 if the last line with "Answer:" chooses the reference's letter alone, else 0.

    The released script asks multiple-choice questions so.
    """

    def _is_right(self, response: str, reference: str) -> bool:
        return _letter(response) == reference.strip().upper()

    def examples(self) -> Sequence[tuple[str, Truth, float]]:
        """See `Verifier`."""
        return (
            ("I think so.\nAnswer: B", Truth("B"), 1.0),
            ("Answer: $C$, no.\n**Answer: (B)**", Truth("B"), 1.0),
            ("Answer: C", Truth("B"), 0.0),
            ("Answer: B or C", Truth("B"), 0.0),
            (r"\boxed{B}", Truth("B"), 0.0),
        )


def _letter(response: str) -> str | None:
    """Return the letter of the last line with "Answer:"; None if it does not choose one."""
    found = _LINE.findall(response)
    text = plain(found[-1].strip().strip("*")) if found else None
    return chosen(text) if text else None


class ReleasedVerifier(_AtOnce):
    r"""Scores 1 if VERL's `math_reward` finds the last `\boxed{...}` equal as a string, else 0.

    The released code of the paper scores by it. It computes nothing: `12\cdot 17` is not 204, and
    `0.25` is not `\frac{1}{4}`. Use it to repeat the paper; `math` reads more right answers as right.
    """

    def _is_right(self, response: str, reference: str) -> bool:
        from verl.utils.reward_score.math_reward import compute_score

        # It prints what it cannot read.
        with redirect_stdout(io.StringIO()):
            return bool(compute_score(response, reference))

    def examples(self) -> Sequence[tuple[str, Truth, float]]:
        """See `Verifier`."""
        return (
            (r"so \boxed{42}", Truth("42"), 1.0),
            (r"so \boxed{\dfrac12}", Truth(r"\frac{1}{2}"), 1.0),
            (r"so \boxed{12\cdot 17}", Truth("204"), 0.0),
            (r"so \boxed{0.25}", Truth(r"\frac{1}{4}"), 0.0),
            ("the answer is 42", Truth("42"), 0.0),
        )
