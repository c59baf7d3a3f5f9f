"""DUET: the reasoner's signal, the decoder's answer."""

from collections.abc import Sequence

from training.data.rows import Problem
from training.methods.base import Models, Outcome


class Duet:
    """The reasoner's tokens are the whole response: that is what it generated."""

    uses: tuple[str, ...] = ("reasoner", "decoder")

    def answer(self, models: Models, problems: Sequence[Problem]) -> list[Outcome]:
        """See `Method`."""
        prompts = models.prompts
        responses = models.reason([prompts.reasoner(p.question) for p in problems])
        guided = [
            models.guided_prompt(problem.question, prompts.signal(response.tokens))
            for problem, response in zip(problems, responses, strict=True)
        ]
        return [
            Outcome(
                prompts.answer_text(answer.tokens),
                len(response.tokens),
                len(answer.tokens),
                answer.finished,
            )
            for response, answer in zip(responses, models.decode(guided), strict=True)
        ]
