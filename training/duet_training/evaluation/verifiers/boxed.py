r"""Answers of one kind: what the last \boxed{...} holds must be the reference, without algebra."""

from collections.abc import Sequence

from duet_contract.answers import Kind, is_right
from duet_training.evaluation.verifiers.base import Truth

_EXAMPLES: dict[Kind, tuple[tuple[str, Truth, float], ...]] = {
    Kind.CHOICE: (
        (r"\boxed{B}", Truth("B"), 1.0),
        (r"\boxed{\text{(b)}}", Truth("B"), 1.0),
        (r"\boxed{C}", Truth("B"), 0.0),
        (r"\boxed{B or C}", Truth("B"), 0.0),
        ("B", Truth("B"), 0.0),
    ),
    Kind.NUMBER: (
        (r"Tom has 12 apples. \boxed{12}", Truth("12"), 1.0),
        (r"\boxed{3}, no, \boxed{ 012 }", Truth("12"), 1.0),
        (r"\boxed{13}", Truth("12"), 0.0),
        ("12", Truth("12"), 0.0),
        (r"\boxed{twelve}", Truth("12"), 0.0),
    ),
}
_SUM = r"\boxed{7+5}"


class BoxedVerifier:
    """Scores 1 if the box holds the reference's letter (GPQA) or number, else 0."""

    def __init__(self, kind: Kind, *, computed: bool = True) -> None:
        """Set what references are, and whether numbers must be computed."""
        self._kind, self._computed = kind, computed

    def score(self, responses: Sequence[str], truths: Sequence[Truth]) -> list[float]:
        """See `Verifier`."""
        return [
            float(
                is_right(
                    response, truth.answer, boxed=True, kind=self._kind, computed=self._computed
                )
            )
            for response, truth in zip(responses, truths, strict=True)
        ]

    def examples(self) -> Sequence[tuple[str, Truth, float]]:
        """See `Verifier`."""
        return (
            *_EXAMPLES[self._kind],
            *(
                ((_SUM, Truth("12"), float(not self._computed)),)
                if self._kind is Kind.NUMBER
                else ()
            ),
        )

    def close(self) -> None:
        """See `Verifier`."""
