"""Multiple choice as the released script asks for it: the letter behind the last "Answer:"."""

import re
from collections.abc import Sequence

from duet_contract.answers.choices import chosen
from duet_contract.answers.plain import plain
from duet_training.evaluation.verifiers.base import Truth

_LINE = re.compile(r"\banswer\W{0,4}?:[ \t]*([^\n]*)", re.IGNORECASE)


class LetterVerifier:
    """Scores 1 if the last line with "Answer:" chooses the reference's letter alone, else 0."""

    def score(self, responses: Sequence[str], truths: Sequence[Truth]) -> list[float]:
        """See `Verifier`."""
        return [
            float(_letter(response) == truth.answer.strip().upper())
            for response, truth in zip(responses, truths, strict=True)
        ]

    def examples(self) -> Sequence[tuple[str, Truth, float]]:
        """See `Verifier`."""
        return (
            ("I think so.\nAnswer: B", Truth("B"), 1.0),
            ("Answer: $C$, no.\n**Answer: (B)**", Truth("B"), 1.0),
            ("Answer: C", Truth("B"), 0.0),
            ("Answer: B or C", Truth("B"), 0.0),
            (r"\boxed{B}", Truth("B"), 0.0),
        )

    def close(self) -> None:
        """See `Verifier`."""


def _letter(response: str) -> str | None:
    """Return the letter of the last line with "Answer:"; None if it does not choose one."""
    found = _LINE.findall(response)
    text = plain(found[-1].strip().strip("*")) if found else None
    return chosen(text) if text else None
