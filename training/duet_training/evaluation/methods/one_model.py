"""Methods with one model: decoder alone, reasoner alone, or reasoner with a note to be concise."""

from collections.abc import Sequence

from duet_training.data.rows import Problem
from duet_training.evaluation.methods.base import Models, Outcome

# Of the prompt-based baseline of arXiv 2605.01111.
NOTE = (
    "Note that you should keep the reasoning concise: include only essential reasoning steps and "
    "avoid repetition or unnecessary explanations."
)


class Alone:
    """The decoder without a signal, as a device without a cloud answers."""

    uses: tuple[str, ...] = ("decoder",)

    def answer(self, models: Models, problems: Sequence[Problem]) -> list[Outcome]:
        """See `Method`."""
        prompts = models.prompts
        answers = models.decode([prompts.alone(problem.for_decoder) for problem in problems])
        return [
            Outcome(prompts.answer_text(a.tokens), 0, len(a.tokens), a.finished) for a in answers
        ]


class Original:
    """The reasoner alone, as it is. The answer is read from the reasoner's whole response."""

    uses: tuple[str, ...] = ("reasoner",)

    def answer(self, models: Models, problems: Sequence[Problem]) -> list[Outcome]:
        """See `Method`."""
        return self.from_questions(models, [problem.for_reasoner for problem in problems])

    def from_questions(self, models: Models, questions: Sequence[str]) -> list[Outcome]:
        """Outcomes for questions that may have been reworded."""
        prompts = models.prompts
        responses = models.reason([prompts.reasoner(question) for question in questions])
        return [
            Outcome(
                prompts.response_text(r.tokens),
                len(r.tokens),
                0,
                r.finished,
                signal_tokens=len(prompts.signal(r.tokens)),
            )
            for r in responses
        ]


class Prompted(Original):
    """The paper's sentence follows the question, inside its slot of the prompt."""

    def answer(self, models: Models, problems: Sequence[Problem]) -> list[Outcome]:
        """See `Method`."""
        return self.from_questions(models, [f"{p.for_reasoner} {NOTE}" for p in problems])
