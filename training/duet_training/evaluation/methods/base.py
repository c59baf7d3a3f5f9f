"""The interface of a method, and what it answers with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from duet_training.data.rows import Problem
from duet_training.pair.prompting import PairPrompts
from duet_training.verl_backend.generation import Response


@dataclass(frozen=True)
class Outcome:
    """One question's answer, and the tokens that each model generated for it."""

    answer: str
    reasoner_tokens: int
    decoder_tokens: int
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
