"""Training examples of SFT: prompts as in serving, with their target responses."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from duet_contract.vocabulary import HubTokenizer
from duet_training.data.story_problems import traces
from duet_training.data.story_problems.draw import Scope, stories
from duet_training.data.story_problems.story import Story
from duet_training.evaluation.methods import NOTE
from duet_training.pair.description import Pair
from duet_training.pair.prompting import PairPrompts

T = TypeVar("T")

# Of the decoder's examples: with an empty signal, with one that ends early.
EMPTY, SHORTENED = 0.08, 0.08
# Of the reasoner's examples: with the prompt-based method's note, which asks for less.
NOTED = 0.05
# Equations of this many problems, one after the other: arithmetic takes longest to learn, and
# few tokens of a solution are arithmetic.
DRILLED = 10
DRILL = "Practise."


@dataclass(frozen=True)
class Mixture:
    """A data mixture."""

    drills: float
    """Share of drills in the reasoner's examples; the others are solutions in `styles`."""
    styles: tuple[tuple[traces.TraceStyle, int], ...]
    """Styles of these solutions, each with its weight."""
    alone: float
    """Share of the decoder's examples without a signal; the others have signals in `read`."""
    read: tuple[tuple[traces.TraceStyle, int], ...]
    """Styles of these signals, each with its weight."""


# Most of the decoder's first examples have no signal: it learns quickly to read signals, and its
# own knowledge shortens them.
BROAD = Mixture(0.4, traces.REASONER, 0.62, traces.READ)
MIXTURES = {
    "broad": BROAD,
    # Then: once it can add, what a reasoner still lacks is which numbers to take in a chain of bare
    # equations, where no sentence between them says so; and a decoder the few misread ones.
    "terse": replace(BROAD, drills=0.1, styles=traces.TERSE, alone=0.3, read=traces.READ_TERSE),
    # And to end with: a reasoner that thinks at length unless something makes it terse.
    "at-length": replace(BROAD, drills=0.1, styles=traces.AT_LENGTH),
    # Alternative to the first mixture: the decoder can still improve in joint training. It learns
    # to read one style sooner than all styles, so more of its examples have no signal.
    "concluded": replace(BROAD, alone=0.7, read=traces.READ_CONCLUDED),
}


@dataclass(frozen=True)
class Example:
    """Token ids of one example; only the response contributes to the loss."""

    prompt: list[int]
    """Token ids of the prompt."""
    response: list[int]
    """Token ids of the response."""
    loss_mask: list[bool] | None = None
    """For each token of the response, whether it contributes to the loss; None: all do."""

    def __len__(self) -> int:
        return len(self.prompt) + len(self.response)


class Teacher:
    """Makes examples from stories of a scope's training split."""

    def __init__(self, pair: Pair, scope: Scope, mixture: str = "broad") -> None:
        self._prompts, self._scope = PairPrompts(pair), scope
        self._mixture = MIXTURES[mixture]
        self._text = HubTokenizer.from_directory(pair.reasoner.path)
        self._end = self._text.encode_template(pair.reasoner.end_of_text[0])
        self._end_of_reasoning = self._text.encode_template(pair.reasoner.end_of_reasoning)

    def examples(self, role: str, rng: random.Random, count: int, _chunk: int = 0) -> list[Example]:
        """Draw `count` examples for "reasoner" or "decoder"."""
        drawn = stories(rng, self._scope, "train")
        if role == "decoder":
            return [self.decoder(next(drawn), rng) for _ in range(count)]
        return [
            self.drill([next(drawn) for _ in range(DRILLED)])
            if rng.random() < self._mixture.drills
            else self.reasoner(next(drawn), rng)
            for _ in range(count)
        ]

    def reasoner(self, story: Story, rng: random.Random) -> Example:
        """Make an example of reasoning in a drawn style, its end token, and the answer."""
        style, question = traces.draw_style(rng, self._mixture.styles), story.question
        if rng.random() < NOTED:
            style, question = traces.PROSE, f"{question} {NOTE}"
        thought = self._text.encode_text(traces.trace(story, style))
        response = [*thought, *self._end_of_reasoning, *self._answer(story)]
        return Example(self._prompts.reasoner(question), response)

    def drill(self, stories: Sequence[Story]) -> Example:
        """Make a drill of all equations; only results are trained, the rest is unpredictable."""
        response: list[int] = []
        loss_mask: list[bool] = []
        for step in (step for story in stories for step in story.steps):
            asked, result = step.equation.split("=")
            for text, wanted in ((f" {asked}=", False), (f"{result}.", True)):
                ids = self._text.encode_text(text)
                response += ids
                loss_mask += [wanted] * len(ids)
        return Example(self._prompts.reasoner(DRILL), response, loss_mask)

    def decoder(self, story: Story, rng: random.Random) -> Example:
        """Make an example of the answer, after no, an empty, a truncated or a whole signal."""
        dice, question = rng.random(), story.question
        alone = self._mixture.alone
        if dice < alone:
            prompt = self._prompts.alone(question)
        elif dice < alone + EMPTY:
            prompt = self._prompts.guided(question, [])
        else:
            style = traces.draw_style(rng, self._mixture.read)
            early = dice < alone + EMPTY + SHORTENED
            signal = traces.shortened(story, style, rng) if early else traces.trace(story, style)
            prompt = self._prompts.guided(question, self._text.encode_text(signal))
        return Example(prompt, self._answer(story))

    def signal(self, text: str) -> list[int]:
        """Encode a signal to token ids."""
        return self._text.encode_text(text)

    def _answer(self, story: Story) -> list[int]:
        return [*self._text.encode_text(traces.answer(story)), *self._end]


def in_rounds(items: Sequence[T], first: int, count: int, seed: int) -> list[T]:
    """Take `count` items of endless rounds, each in its own order by `seed`, from the `first` on.

    Examples:
        >>> sorted(in_rounds("abc", 0, 3, seed=1)), in_rounds("abc", 1, 2, seed=1)
        (['a', 'b', 'c'], ['b', 'c'])
    """
    shown: list[T] = []
    number, place = divmod(first, len(items))
    while len(shown) < count:
        order = list(items)
        random.Random(f"{seed}/{number}").shuffle(order)
        shown += order[place : place + count - len(shown)]
        number, place = number + 1, 0
    return shown
