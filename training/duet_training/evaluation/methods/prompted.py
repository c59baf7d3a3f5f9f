"""Prompt-based: the reasoner alone, asked to be concise (arXiv 2605.01111, baselines)."""

from collections.abc import Sequence

from duet_training.data.rows import Problem
from duet_training.evaluation.methods.base import Models, Outcome
from duet_training.evaluation.methods.original import Original

NOTE = (
    "Note that you should keep the reasoning concise: include only essential reasoning steps and "
    "avoid repetition or unnecessary explanations."
)


class Prompted(Original):
    """The paper's sentence follows the question, inside its slot of the prompt."""

    def answer(self, models: Models, problems: Sequence[Problem]) -> list[Outcome]:
        """See `Method`."""
        return self.from_questions(models, [f"{p.question} {NOTE}" for p in problems])
