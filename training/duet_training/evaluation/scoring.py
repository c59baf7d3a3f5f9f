"""Scores of answers, each by the verifier that its problem names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from duet_training.data.rows import Problem
from duet_training.evaluation.verifiers import Verifier, make_verifier

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Verifiers:
    """The verifiers of a set of problems, by name. Call `close` when done."""

    by_name: Mapping[str, Verifier]
    """Verifiers by name."""

    @classmethod
    def of(
        cls, problems: Sequence[Problem], processes: int, seconds: float, *, computed: bool
    ) -> Self:
        """Make and check the verifiers that these problems name; see `make_verifier`."""
        names = sorted({problem.verifier for problem in problems})
        return cls({n: make_verifier(n, processes, seconds, computed=computed) for n in names})

    def score(self, problems: Sequence[Problem], answers: Sequence[str]) -> Scores:
        """Score each answer, (N,)."""
        scores = np.zeros(len(answers))
        for name in {problem.verifier for problem in problems}:
            chosen = [i for i, problem in enumerate(problems) if problem.verifier == name]
            truths = [problems[i].truth for i in chosen]
            scores[chosen] = self.by_name[name].score([answers[i] for i in chosen], truths)
        return scores

    def close(self) -> None:
        """End the verifiers' processes."""
        for verifier in self.by_name.values():
            verifier.close()
