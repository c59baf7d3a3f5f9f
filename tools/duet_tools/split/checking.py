r"""Whether an answer is right: the project's rule, or a verifier named on the command line.

The rule is `duet_contract.answers`: the last \boxed{...} of an answer; without a box, the final
answer in its prose, since models that were not trained for a box rarely write one.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from duet_contract.answers import is_right
from duet_tools.errors import UsageProblem
from duet_tools.results.questions import QuestionRow

RULE = "last-answer"


Check = Callable[[str, QuestionRow], bool]
"""Decides whether an answer to a question is right; the question has its reference."""


@dataclass(frozen=True)
class Truth:
    """What verifiers are given: the shape of `duet_training.evaluation.verifiers.Truth`."""

    answer: str
    """The reference answer."""
    metadata: Mapping[str, Any]
    """Further fields of the question's row."""


def by_rule(answer: str, question: QuestionRow) -> bool:
    """See `Check`. Expressions are compared by their text: no algebra system is asked."""
    return is_right(answer, question.answer or "")


def find_check(name: str) -> Check:
    """Return the rule by its name, else a verifier, `package.module:Class`.

    A verifier has `score(responses, truths) -> list[float]`; 1 is right.

    Raises:
        UsageProblem: it cannot be imported or created, or is not a verifier.
    """
    if name == RULE:
        return by_rule
    module, colon, attribute = name.partition(":")
    if not colon:
        raise UsageProblem(f"no verifier {name!r}; give {RULE}, or yours as package.module:Class")
    try:
        verifier: Any = getattr(importlib.import_module(module), attribute)()
    except Exception as error:  # Whatever a module of the user's raises when it is imported.
        raise UsageProblem(f"no verifier {name!r} (package.module:Class): {error}") from error
    if not hasattr(verifier, "score"):
        raise UsageProblem(f"{name!r} is not a verifier: it has no score(responses, truths)")

    def right(answer: str, question: QuestionRow) -> bool:
        truth = Truth(question.answer or "", question.metadata)
        return float(verifier.score([answer], [truth])[0]) >= 1.0

    return right
