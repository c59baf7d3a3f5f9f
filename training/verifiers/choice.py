r"""Multiple choice (GPQA): the letter in the last \boxed{...}."""

import re
from collections.abc import Sequence

from training.verifiers.base import Truth
from training.verifiers.boxed import last_boxed

_WRAPPED = re.compile(r"^\\(?:text|textbf|mathrm|mathbf)\s*\{(.*)\}$", re.DOTALL)
_LETTER = re.compile(r"^\(?([A-Za-z])\)?(?:$|[\s.:)])")


def chosen_letter(response: str) -> str | None:
    """The letter a response settles on, upper case; None if it names none."""
    boxed = last_boxed(response)
    while boxed and (wrapped := _WRAPPED.match(boxed)):
        boxed = wrapped[1].strip()
    letter = _LETTER.match(boxed) if boxed else None
    return letter[1].upper() if letter else None


class ChoiceVerifier:
    """Scores 1 if the boxed letter is the reference letter, else 0."""

    def score(self, responses: Sequence[str], truths: Sequence[Truth]) -> list[float]:
        """See `Verifier`."""
        return [
            float(chosen_letter(response) == truth.answer.strip().upper())
            for response, truth in zip(responses, truths, strict=True)
        ]

    def examples(self) -> Sequence[tuple[str, Truth, float]]:
        """See `Verifier`."""
        return (
            (r"\boxed{B}", Truth("B"), 1.0),
            (r"\boxed{\text{(b)}}", Truth("B"), 1.0),
            (r"\boxed{C}", Truth("B"), 0.0),
            ("B", Truth("B"), 0.0),
        )

    def close(self) -> None:
        """See `Verifier`."""
