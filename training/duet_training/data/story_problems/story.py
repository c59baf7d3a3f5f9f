"""One generated word problem: what it says, how it is solved, what its answer is."""

from dataclasses import dataclass
from typing import Literal

Sign = Literal["+", "-", "*", "/"]


@dataclass(frozen=True)
class StoryStep:
    """One computation."""

    why: str
    """Clause that gives the reason for the step."""
    left: int
    """Left operand."""
    sign: Sign
    """Operator."""
    right: int
    """Right operand."""
    fact: str
    """Sentence that says what the step gives, without its full stop."""

    @property
    def result(self) -> int:
        """What the computation gives; every division in a story comes out even."""
        return compute(self.left, self.sign, self.right)

    @property
    def equation(self) -> str:
        """Such as `12+5=17`: no spaces, since each would be a token."""
        return f"{self.left}{self.sign}{self.right}={self.result}"


@dataclass(frozen=True)
class Story:
    """A word problem."""

    family: str
    """Kind of the problem."""
    body: tuple[str, ...]
    """Sentences that say what is known."""
    ask: str
    """The question itself."""
    sought: str
    """What is asked for, as a noun phrase."""
    steps: tuple[StoryStep, ...]
    """Computations in order; the last one gives the answer."""
    statement: str
    """The answer as a sentence, without its full stop."""

    @property
    def question(self) -> str:
        """The whole text."""
        return " ".join([*self.body, self.ask])

    @property
    def answer(self) -> int:
        """What the last step gives."""
        return self.steps[-1].result


class StoryDraft:
    """A story in the making: its sentences, and the steps to its answer."""

    def __init__(self, family: str, *body: str) -> None:
        self.family, self.body = family, list(body)
        self.steps: list[StoryStep] = []

    def step(self, why: str, left: int, sign: Sign, right: int, fact: str) -> int:
        """Add a step, and return its result, which replaces `{}` in the fact."""
        result = compute(left, sign, right)
        self.steps.append(StoryStep(why, left, sign, right, fact.format(result)))
        return result

    def told(self, ask: str, sought: str, statement: str) -> Story:
        """Return the story; `{}` in the statement is its answer."""
        statement = statement.format(self.steps[-1].result)
        return Story(self.family, tuple(self.body), ask, sought, tuple(self.steps), statement)


def compute(left: int, sign: Sign, right: int) -> int:
    """Whole-number arithmetic.

    Raises:
        ValueError: a division that leaves a rest.
    """
    if sign == "+":
        return left + right
    if sign == "-":
        return left - right
    if sign == "*":
        return left * right
    if right == 0 or left % right:
        raise ValueError(f"{left}/{right} is not whole")
    return left // right
