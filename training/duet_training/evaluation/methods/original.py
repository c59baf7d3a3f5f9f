"""Original: the reasoner alone, as it is."""

from collections.abc import Sequence

from duet_training.data.rows import Problem
from duet_training.evaluation.methods.base import Models, Outcome


class Original:
    """The answer is read from the reasoner's whole response."""

    uses: tuple[str, ...] = ("reasoner",)

    def answer(self, models: Models, problems: Sequence[Problem]) -> list[Outcome]:
        """See `Method`."""
        return self.from_questions(models, [problem.question for problem in problems])

    def from_questions(self, models: Models, questions: Sequence[str]) -> list[Outcome]:
        """Outcomes for questions that may have been reworded."""
        prompts = models.prompts
        responses = models.reason([prompts.reasoner(question) for question in questions])
        return [
            Outcome(prompts.response_text(r.tokens), len(r.tokens), 0, r.finished)
            for r in responses
        ]
