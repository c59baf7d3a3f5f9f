"""Small model alone: the decoder without a signal, as a device without a cloud answers."""

from collections.abc import Sequence

from duet_training.data.rows import Problem
from duet_training.evaluation.methods.base import Models, Outcome


class Alone:
    """The reasoner is not used."""

    uses: tuple[str, ...] = ("decoder",)

    def answer(self, models: Models, problems: Sequence[Problem]) -> list[Outcome]:
        """See `Method`."""
        prompts = models.prompts
        answers = models.decode([prompts.alone(problem.question) for problem in problems])
        return [
            Outcome(prompts.answer_text(a.tokens), 0, len(a.tokens), a.finished) for a in answers
        ]
