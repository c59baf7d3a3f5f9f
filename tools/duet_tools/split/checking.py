r"""Whether an answer is right: the project's rule, or a verifier named on the command line.

The rule is `duet_contract.answers`: the last \boxed{...} of an answer; without a box, the final
answer in its prose, since models that were not trained for a box rarely write one.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from duet_contract.answers import is_right
from duet_tools.errors import UsageProblem
from duet_tools.results.questions import Question

RULE = "last-answer"


class Check(Protocol):
    """Decides whether answers are right. `name`: its name in the report."""

    name: str

    def right(self, answer: str, question: Question) -> bool:
        """Return whether `answer` is right; the question has its reference."""


@dataclass(frozen=True)
class Truth:
    """What verifiers are given: the shape of `duet_training.evaluation.verifiers.Truth`."""

    answer: str
    metadata: Mapping[str, Any]


class LastAnswer:
    """The rule above. Expressions are compared by their text: no algebra system is asked."""

    name = RULE

    def right(self, answer: str, question: Question) -> bool:
        """See `Check`."""
        return is_right(answer, question.answer or "")


class Named:
    """A verifier of the interface `score(responses, truths) -> list[float]`; 1 is right."""

    def __init__(self, name: str) -> None:
        """Import `package.module:Class` and make one.

        Raises:
            UsageProblem: it cannot be imported or created, or is not a verifier.
        """
        self.name = name
        module, _, attribute = name.partition(":")
        try:
            self._verifier: Any = getattr(importlib.import_module(module), attribute)()
        except Exception as error:  # Whatever a module of the user's raises when it is imported.
            raise UsageProblem(f"no verifier {name!r} (package.module:Class): {error}") from error
        if not hasattr(self._verifier, "score"):
            raise UsageProblem(f"{name!r} is not a verifier: it has no score(responses, truths)")

    def right(self, answer: str, question: Question) -> bool:
        """See `Check`."""
        truth = Truth(question.answer or "", question.metadata)
        return float(self._verifier.score([answer], [truth])[0]) >= 1.0


def find_check(name: str) -> Check:
    """Return the rule by its name, else a verifier.

    Raises:
        UsageProblem: there is no verifier of that name.
    """
    if name == RULE:
        return LastAnswer()
    if ":" not in name:
        raise UsageProblem(f"no verifier {name!r}; give {RULE}, or yours as package.module:Class")
    return Named(name)
