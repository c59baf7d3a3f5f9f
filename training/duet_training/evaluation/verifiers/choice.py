r"""Multiple choice (GPQA): the letter that the last \boxed{...} chooses."""

from collections.abc import Sequence

from duet_contract.answers import Kind, is_right
from duet_training.evaluation.verifiers.base import Truth


class ChoiceVerifier:
    """Scores 1 if the box chooses the reference's letter, else 0."""

    def score(self, responses: Sequence[str], truths: Sequence[Truth]) -> list[float]:
        """See `Verifier`."""
        return [
            float(is_right(response, truth.answer, boxed=True, kind=Kind.CHOICE))
            for response, truth in zip(responses, truths, strict=True)
        ]

    def examples(self) -> Sequence[tuple[str, Truth, float]]:
        """See `Verifier`."""
        return (
            (r"\boxed{B}", Truth("B"), 1.0),
            (r"\boxed{\text{(b)}}", Truth("B"), 1.0),
            (r"\boxed{C}", Truth("B"), 0.0),
            (r"\boxed{B or C}", Truth("B"), 0.0),
            ("B", Truth("B"), 0.0),
        )

    def close(self) -> None:
        """See `Verifier`."""
