"""Naive truncation: the reasoning is cut at a budget, and the reasoner answers from what it has."""

from collections.abc import Sequence

from duet_training.data.rows import Problem
from duet_training.evaluation.methods.base import Models, Outcome


class Truncated:
    """`budget`: tokens of reasoning. A response that ended within it is left as it is."""

    uses: tuple[str, ...] = ("reasoner",)

    def __init__(self, budget: int) -> None:
        self._budget = budget

    def answer(self, models: Models, problems: Sequence[Problem]) -> list[Outcome]:
        """See `Method`."""
        prompts = models.prompts
        asked = [prompts.reasoner(problem.for_reasoner) for problem in problems]
        begun = models.reason(asked, self._budget)
        traces = [response.tokens for response in begun]
        cut = [i for i, response in enumerate(begun) if not response.finished]
        generated = [len(trace) for trace in traces]
        for i in cut:
            if prompts.end_of_reasoning not in traces[i]:
                traces[i] = [*traces[i], prompts.end_of_reasoning]
        rest = models.reason([asked[i] + traces[i] for i in cut])
        finished = [response.finished for response in begun]
        for i, response in zip(cut, rest, strict=True):
            traces[i] = traces[i] + response.tokens
            generated[i] += len(response.tokens)
            finished[i] = response.finished
        return [
            Outcome(prompts.response_text(trace), tokens, 0, done)
            for trace, tokens, done in zip(traces, generated, finished, strict=True)
        ]
