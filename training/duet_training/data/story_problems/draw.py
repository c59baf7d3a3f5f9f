"""Which stories are drawn: scopes, and splits that no question can be in two of.

A question's split is a function of its text, so that a stream without end can be trained on while
everything held out stays unseen.
"""

import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from duet_contract.json_data import json_text
from duet_training.data.rows import Problem
from duet_training.data.story_problems import families, wide_families
from duet_training.data.story_problems.chains import chain
from duet_training.data.story_problems.story import Story
from duet_training.data.story_problems.words import Dice
from duet_training.errors import DataError

# Families with their weights.
TRAINED: dict[Callable[[Dice], Story], int] = {
    families.groups: 3,
    families.sharing: 3,
    families.comparing: 4,
    families.shopping: 3,
    families.routine: 2,
    families.ages: 1,
    families.unknown: 2,
    families.colours: 2,
    families.difference: 2,
}
WIDE: tuple[Callable[[Dice], Story], ...] = (
    wide_families.goal,
    wide_families.two_kinds,
    wide_families.teams,
    wide_families.boxes_left,
)
TESTED_ONLY: tuple[Callable[[Dice], Story], ...] = (wide_families.bus, wide_families.rows)

Split = Literal["train", "validation", "test"]
VERIFIER = "number"
# Of the 20 remainders of a question's checksum.
_HELD: dict[int, Split] = {0: "test", 1: "validation"}


@dataclass(frozen=True)
class Scope:
    """What kind of stories are drawn. A weight is relative to the other weights of the scope."""

    chains: tuple[tuple[int, int], ...]
    """Numbers of steps of chains, each with its weight."""
    families: int = 0
    """Weight of the families of every scope."""
    wide: int = 0
    """Weight of the families of wide scopes."""
    bare: int = 0
    """Weight of sums without a story."""
    tested_only: int = 0
    """Weight of the families that no training has."""
    largest: int = 60
    """Largest number in a story."""
    open_share: float = 0.0
    """Share of names and things that no fixed list holds."""


SCOPES = {
    "easy": Scope(chains=((1, 4), (2, 4), (3, 3)), families=6, largest=20),
    "long": Scope(chains=((4, 1), (5, 1)), largest=20),
    "other": Scope(chains=(), tested_only=1, largest=20),
    "hard": Scope(chains=((7, 1), (8, 1)), largest=999),
    "wide": Scope(
        chains=((1, 4), (2, 6), (3, 5), (4, 3)),
        families=30,
        wide=10,
        bare=12,
        largest=99,
        open_share=0.35,
    ),
    "wide-long": Scope(chains=((5, 1), (6, 1)), largest=99, open_share=0.35),
    "wide-other": Scope(chains=(), tested_only=1, largest=99, open_share=0.35),
}


def draw(rng: random.Random, scope: Scope) -> Story:
    """One story."""
    weights = [*(weight for _, weight in scope.chains), scope.families, scope.bare]
    kinds = [*range(len(scope.chains)), "family", "bare", "other", "wide"]
    kind = rng.choices(kinds, [*weights, scope.tested_only, scope.wide])[0]
    dice = Dice(rng, scope.largest, scope.open_share)
    if kind == "family":
        return rng.choices([*TRAINED], [*TRAINED.values()])[0](dice)
    if kind == "bare":
        return families.bare(dice)
    if kind == "wide":
        return rng.choice(WIDE)(dice)
    if kind == "other":
        return rng.choice(TESTED_ONLY)(dice)
    return chain(dice, scope.chains[int(kind)][0])


def split_of(question: str) -> Split:
    """Which split a question belongs to; the same for questions that differ in case or space."""
    key = " ".join(question.split()).casefold()
    return _HELD.get(zlib.crc32(key.encode()) % 20, "train")


def stories(rng: random.Random, scope: Scope, split: Split) -> Iterator[Story]:
    """Stories of a split, without end; they may repeat."""
    while True:
        story = draw(rng, scope)
        if split_of(story.question) == split:
            yield story


def problems(scope_name: str, split: Split, count: int, seed: int) -> list[Problem]:
    """`count` distinct problems, as training and evaluation read them.

    Raises:
        DataError: no such scope, or it has not so many distinct questions.
    """
    if scope_name not in SCOPES:
        raise DataError(f"there is no scope {scope_name!r}; there are: {', '.join(SCOPES)}")
    rng = random.Random(f"{scope_name}/{split}/{seed}")
    found: dict[str, Problem] = {}
    for drawn, story in enumerate(stories(rng, SCOPES[scope_name], split), start=1):
        problem = Problem(
            f"{scope_name}/{split}/{seed}/{drawn}",
            story.question,
            str(story.answer),
            f"stories:{scope_name}",
            VERIFIER,
            {"family": story.family, "steps": len(story.steps)},
        )
        found.setdefault(problem.key, problem)
        if len(found) == count:
            break
        if drawn > 100 * count:
            raise DataError(f"{scope_name} has fewer than {count} distinct questions")
    return list(found.values())


def question_lines(scope_name: str, split: Split, count: int, seed: int) -> str:
    """`count` distinct problems as the bench reads them: JSON lines of question and answer.

    Raises:
        DataError: There is no such scope, or it has fewer distinct questions.
    """
    rows = (
        {"question": p.question, "answer": p.answer}
        for p in problems(scope_name, split, count, seed)
    )
    return "".join(json_text(row) + "\n" for row in rows)
