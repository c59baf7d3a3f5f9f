r"""Worked solutions, from verbose to bare, and answers.

A style is drawn once per trace, so that training data has compact traces of every length. A model
trained on a style drawn per step has no short trace for a long problem.
"""

import random
from dataclasses import dataclass

from duet_training.data.story_problems.story import Story, StoryStep


@dataclass(frozen=True)
class TraceStyle:
    """How a trace is written."""

    steps: str
    """Form of the steps: prose, equations, or results only."""
    restated: bool = False
    """Whether the trace begins with what is known."""
    checked: bool = False
    """Whether the steps are checked at the end."""
    concluded: bool = False
    """Whether the trace ends with the result."""


VERBOSE = TraceStyle("prose", restated=True, checked=True, concluded=True)
PROSE = TraceStyle("prose", concluded=True)
EQUATIONS = TraceStyle("equations", concluded=True)
SHORT = TraceStyle("equations")
RESULTS = TraceStyle("results")

# A reasoner before training thinks at length, and now and then otherwise, so that there is
# something to choose from.
REASONER = (
    (VERBOSE, 44),
    (TraceStyle("prose", restated=True, concluded=True), 6),
    (TraceStyle("prose", checked=True, concluded=True), 4),
    (PROSE, 6),
    (EQUATIONS, 12),
    (SHORT, 26),
    (RESULTS, 2),
)
# Later, what is brief is half of it.
TERSE = (
    (VERBOSE, 38),
    (TraceStyle("prose", restated=True, concluded=True), 4),
    (TraceStyle("prose", checked=True, concluded=True), 2),
    (PROSE, 4),
    (EQUATIONS, 12),
    (SHORT, 38),
    (RESULTS, 2),
)
# And at last a third.
AT_LENGTH = (
    (VERBOSE, 60),
    (TraceStyle("prose", restated=True, concluded=True), 4),
    (PROSE, 4),
    (EQUATIONS, 8),
    (SHORT, 24),
)
# What a decoder reads before training: mostly the former. What is short has to be there: one that
# takes a lone equation's number from the question instead is corrected by joint training too late.
READ = (
    (VERBOSE, 8),
    (PROSE, 3),
    (EQUATIONS, 3),
    (SHORT, 5),
    (RESULTS, 2),
)
# Later, what joint training will leave of one.
READ_TERSE = (
    (VERBOSE, 4),
    (PROSE, 2),
    (EQUATIONS, 4),
    (SHORT, 12),
    (RESULTS, 1),
)

# One that was taught on what says so where it has the answer: bare equations are left to learn.
READ_CONCLUDED = ((VERBOSE, 8), (PROSE, 3), (EQUATIONS, 3))


def draw_style(rng: random.Random, styles: tuple[tuple[TraceStyle, int], ...]) -> TraceStyle:
    """Draw a style with probability proportional to its weight."""
    return rng.choices([style for style, _ in styles], [weight for _, weight in styles])[0]


def trace(story: Story, style: TraceStyle) -> str:
    """Write a worked solution of all steps."""
    parts = []
    if style.restated:
        known = " ".join(story.body)
        parts.append(f"We know this: {known} We look for {story.sought}." if known else "")
    if style.steps == "prose":
        parts += [_prose(number, step) for number, step in enumerate(story.steps, start=1)]
    elif style.steps == "equations":
        parts.append(" ".join(f"{step.equation}." for step in story.steps))
    else:
        parts.append(" ".join(str(step.result) for step in story.steps))
    if style.checked:
        equations = ", ".join(step.equation for step in story.steps)
        parts.append(f"Let us check: {equations}. This is right.")
    if style.concluded:
        parts.append(f"So the answer is {story.answer}.")
    return " ".join(part for part in parts if part)


def shortened(story: Story, style: TraceStyle, rng: random.Random) -> str:
    """Write a truncated trace: some of its last sentences are missing."""
    sentences = trace(story, style).split(". ")
    kept = rng.randint(0, max(0, len(sentences) - 1))
    return ". ".join(sentences[:kept]) + ("." if kept else "")


def answer(story: Story) -> str:
    r"""Write the answer as a sentence, and boxed."""
    return f"{story.statement}. \\boxed{{{story.answer}}}"


def _prose(number: int, step: StoryStep) -> str:
    return f"Step {number}: {step.why}. {step.equation}. {step.fact}."
