"""Ways to answer a question with a pair, or with a part of it: what evaluation compares.

`METHODS` is the one table of them. A method that only evaluation knows is a class here and a line
there; a baseline that trains is in `duet_training.rl.baselines` and is evaluated by that name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from duet_training.data.rows import Problem
from duet_training.pair.prompting import PairPrompts
from duet_training.rl.baselines import BASELINES
from duet_training.verl_backend.generation import Response


@dataclass(frozen=True)
class Outcome:
    """One question's answer and its cost."""

    answer: str
    """Text of the answer."""
    reasoner_tokens: int
    """Tokens that the reasoner generated."""
    decoder_tokens: int
    """Tokens that the decoder generated."""
    finished: bool
    """The model that answered ended by itself, not at its limit."""
    signal: str | None = None
    """What a split's decoder read, as text; None without a split."""
    signal_tokens: int = 0
    """Tokens of the reasoning in the reasoner's response."""


class Models(Protocol):
    """Both models, ready to generate. Every prompt of a call gets one response."""

    prompts: PairPrompts

    def reason(
        self, prompts: Sequence[list[int]], limit: int | None = None, *, to_end: bool = True
    ) -> list[Response]:
        """Responses of the reasoner, of at most `limit` tokens (the run's limit if None).

        Unless `to_end`, a response ends with its reasoning.
        """

    def decode(self, prompts: Sequence[list[int]]) -> list[Response]:
        """Answers of the decoder."""

    def guided_prompt(self, question: str, signal: list[int]) -> list[int]:
        """The decoder's prompt with a signal, within its limit."""


class Method(Protocol):
    """Answers all problems of a set, one sample each. `uses`: the models that it asks."""

    uses: tuple[str, ...]

    def answer(self, models: Models, problems: Sequence[Problem]) -> list[Outcome]:
        """One outcome for each problem, in their order."""


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
            Outcome(
                prompts.answer(problem.for_decoder, None, answer.tokens),
                0,
                len(answer.tokens),
                answer.finished,
            )
            for problem, answer in zip(problems, answers, strict=True)
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
                prompts.own_answer(question, response.tokens),
                len(response.tokens),
                0,
                response.finished,
                signal_tokens=len(prompts.signal(response.tokens)),
            )
            for question, response in zip(questions, responses, strict=True)
        ]


class Prompted(Original):
    """The paper's sentence follows the question, inside its slot of the prompt."""

    def answer(self, models: Models, problems: Sequence[Problem]) -> list[Outcome]:
        """See `Method`."""
        return self.from_questions(models, [f"{p.for_reasoner} {NOTE}" for p in problems])


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
                prompts.answer(problem.for_decoder, signal, answer.tokens, whole=response.finished),
                len(response.tokens),
                len(answer.tokens),
                answer.finished,
                prompts.signal_text(signal),
                len(signal),
            )
            for problem, response, signal, answer in zip(
                problems, responses, signals, models.decode(guided), strict=True
            )
        ]


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
            Outcome(prompts.own_answer(problem.for_reasoner, trace), tokens, 0, done)
            for problem, trace, tokens, done in zip(
                problems, traces, generated, finished, strict=True
            )
        ]


# How each follows from the settings of an evaluation, or of a training that validates.
METHODS: dict[str, Callable[[Any], Method]] = {
    "duet": lambda settings: Duet(to_end=not settings.objective.stop_at_end_of_reasoning),
    # The same answers; what the signals carry is measured with them.
    "signal": lambda settings: Duet(to_end=not settings.objective.stop_at_end_of_reasoning),
    "original": lambda _: Original(),
    "prompted": lambda _: Prompted(),
    "truncated": lambda settings: Truncated(settings.cut_at),
    "alone": lambda _: Alone(),
    # What trains the reasoner to answer by itself is evaluated as a reasoner that does.
    **dict.fromkeys(BASELINES, lambda _: Original()),
}
