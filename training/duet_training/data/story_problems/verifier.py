r"""Whole-number answers: the number in the last \boxed{...} must be the reference."""

from collections.abc import Sequence

from duet_contract.answers import Kind, is_right
from duet_training.evaluation.verifiers.base import Truth


class WholeNumberVerifier:
    """Scores 1 if the box holds the reference's number, else 0. Compares nothing but numbers."""

    def score(self, responses: Sequence[str], truths: Sequence[Truth]) -> list[float]:
        """See `Verifier`."""
        return [
            float(is_right(response, truth.answer, boxed=True, kind=Kind.NUMBER))
            for response, truth in zip(responses, truths, strict=True)
        ]

    def examples(self) -> Sequence[tuple[str, Truth, float]]:
        """See `Verifier`."""
        return (
            (r"Tom has 12 apples. \boxed{12}", Truth("12"), 1.0),
            (r"\boxed{3}, no, \boxed{ 012 }", Truth("12"), 1.0),
            (r"\boxed{13}", Truth("12"), 0.0),
            (r"\boxed{7+5}", Truth("12"), 0.0),
            ("12", Truth("12"), 0.0),
            (r"\boxed{twelve}", Truth("12"), 0.0),
        )

    def close(self) -> None:
        """See `Verifier`."""
