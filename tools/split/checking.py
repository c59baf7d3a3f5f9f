r"""Whether an answer is right: a small rule of its own, or a verifier named on the command line.

The rule takes the last \boxed{...} of an answer; where there is none, its last number (or, for
letters, its last single letter), since models that were not trained for a box rarely draw one.
"""

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

from tools.bench.errors import UsageProblem
from tools.split.questions import Question

RULE = "last-answer"
# References like 0.6666666667 are rounded.
_RELATIVE = Fraction(1, 10_000)
_BOX = re.compile(r"\\f?boxed\s*\{")
_NUMBER = re.compile(
    r"(?<![\w.])[-+]?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:\s*/\s*\d+)?|\.\d+)"
)
_FRACTION = re.compile(r"\\d?frac\s*\{\s*(-?\d+)\s*\}\s*\{\s*(\d+)\s*\}")
_LETTER = re.compile(r"(?<![A-Za-z\\])[A-Z](?![A-Za-z'])")


class Check(Protocol):
    """Tells right answers from wrong ones. `name`: as the report calls it."""

    name: str

    def right(self, answer: str, question: Question) -> bool:
        """Whether `answer` is right; the question has its reference."""
        ...


@dataclass(frozen=True)
class Truth:
    """What verifiers are given: the shape of `training.verifiers.Truth`."""

    answer: str
    metadata: Mapping[str, Any]


class LastAnswer:
    """The rule above. Numbers are equal within one in ten thousand; other text without case."""

    name = RULE

    def right(self, answer: str, question: Question) -> bool:
        """See `Check`."""
        reference = _boxed(question.answer or "") or (question.answer or "").strip()
        given = _boxed(answer)
        wanted = _value(reference)
        if wanted is not None:
            numbers = [given] if given else _NUMBER.findall(answer)[-1:]
            value = _value(numbers[0]) if numbers else None
            return value is not None and abs(value - wanted) <= abs(wanted) * _RELATIVE
        if _LETTER.fullmatch(reference):
            letters = _LETTER.findall(given or answer)
            return bool(letters) and letters[-1] == reference
        lines = (given or answer).strip().splitlines()
        return bool(lines) and _plain(lines[-1]) == _plain(reference)


class Named:
    """A verifier of the interface `score(responses, truths) -> list[float]`; 1 is right."""

    def __init__(self, name: str) -> None:
        """Imports `package.module:Class` and makes one.

        Raises:
            UsageProblem: it cannot be imported or made, or is no verifier.
        """
        self.name = name
        module, _, attribute = name.partition(":")
        try:
            self._verifier: Any = getattr(importlib.import_module(module), attribute)()
        except Exception as error:  # Whatever a module of the user's raises when it is imported.
            raise UsageProblem(f"no verifier {name!r} (package.module:Class): {error}") from error
        if not hasattr(self._verifier, "score"):
            raise UsageProblem(f"{name!r} is no verifier: it has no score(responses, truths)")

    def right(self, answer: str, question: Question) -> bool:
        """See `Check`."""
        truth = Truth(question.answer or "", question.metadata)
        return float(self._verifier.score([answer], [truth])[0]) >= 1.0


def find_check(name: str) -> Check:
    """The rule by its name, else a verifier.

    Raises:
        UsageProblem: there is none of that name.
    """
    if name == RULE:
        return LastAnswer()
    if ":" not in name:
        raise UsageProblem(f"no verifier {name!r}; give {RULE}, or yours as package.module:Class")
    return Named(name)


def _boxed(text: str) -> str | None:
    for opening in reversed(list(_BOX.finditer(text))):
        depth = 1
        for index in range(opening.end(), len(text)):
            depth += {"{": 1, "}": -1}.get(text[index], 0)
            if depth == 0:
                return text[opening.end() : index].strip()
    return None


def _value(text: str) -> Fraction | None:
    """The number that a whole text spells; None if it spells none."""
    bare = text.replace("\\$", "").replace("\\%", "").strip(" $\n").rstrip(".%")
    if fraction := _FRACTION.fullmatch(bare):
        bare = f"{fraction[1]}/{fraction[2]}"
    try:
        return Fraction(bare.replace(",", "").replace(" ", ""))
    except (ValueError, ZeroDivisionError):
        return None


def _plain(text: str) -> str:
    return " ".join(text.casefold().strip(" .$").split())
