"""The interface of a verifier, and what it is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Truth:
    """What is known to be right."""

    answer: str
    """The reference answer."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Further fields that verifiers need."""


class Verifier(Protocol):
    """Scores whole responses. Write your own and name it in a row as `package.module:Class`."""

    def score(self, responses: Sequence[str], truths: Sequence[Truth]) -> list[float]:
        """A score in [0, 1] for each response; 1 is right. A response it cannot read scores 0."""

    def examples(self) -> Sequence[tuple[str, Truth, float]]:
        """Responses with the score they must get, right and wrong ones, for the check at start."""

    def close(self) -> None:
        """Frees processes, if it has any."""
