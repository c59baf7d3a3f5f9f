"""DUET: the reasoner's signal, the decoder's answer."""

from collections.abc import Sequence

from duet_training.data.rows import Problem
from duet_training.evaluation.methods.base import Models, Outcome


class Duet:
    """The reasoner's tokens are the whole response: that is what it generated.

    `to_end`: False stops it at the end of its reasoning, as serving does.
    """

    uses: tuple[str, ...] = ("reasoner", "decoder")

    def __init__(self, to_end: bool = True) -> None:
        self._to_end = to_end

    def answer(self, models: Models, problems: Sequence[Problem]) -> list[Outcome]:
        """See `Method`."""
        prompts = models.prompts
        asked = [prompts.reasoner(p.for_reasoner) for p in problems]
        responses = models.reason(asked, to_end=self._to_end)
        signals = [prompts.signal(response.tokens) for response in responses]
        guided = [
            models.guided_prompt(problem.for_decoder, signal)
            for problem, signal in zip(problems, signals, strict=True)
        ]
        return [
            Outcome(
                prompts.answer_text(answer.tokens),
                len(response.tokens),
                len(answer.tokens),
                answer.finished,
                prompts.signal_text(signal),
                len(signal),
            )
            for response, signal, answer in zip(
                responses, signals, models.decode(guided), strict=True
            )
        ]
