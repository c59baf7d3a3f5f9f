r"""Whole-number answers: the last \boxed{...} must hold the reference's digits."""

from collections.abc import Sequence

from training.verifiers.base import Truth
from training.verifiers.boxed import last_boxed


class WholeNumberVerifier:
    """Scores 1 if the boxed text is the same whole number, else 0. Compares nothing but numbers."""

    def score(self, responses: Sequence[str], truths: Sequence[Truth]) -> list[float]:
        """See `Verifier`."""
        given = [_number(last_boxed(response)) for response in responses]
        return [
            float(number is not None and number == _number(truth.answer))
            for number, truth in zip(given, truths, strict=True)
        ]

    def examples(self) -> Sequence[tuple[str, Truth, float]]:
        """See `Verifier`."""
        return (
            (r"Tom has 12 apples. \boxed{12}", Truth("12"), 1.0),
            (r"\boxed{3}, no, \boxed{ 012 }", Truth("12"), 1.0),
            (r"\boxed{13}", Truth("12"), 0.0),
            ("12", Truth("12"), 0.0),
            (r"\boxed{twelve}", Truth("12"), 0.0),
        )

    def close(self) -> None:
        """See `Verifier`."""


def _number(text: str | None) -> int | None:
    stripped = (text or "").strip().replace(",", "")
    digits = stripped.removeprefix("-")
    return int(stripped) if digits.isascii() and digits.isdigit() else None
