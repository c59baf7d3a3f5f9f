"""Splits: seeded, and no question in two of them."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from duet_training.data.rows import Problem
from duet_training.data.story_problems.draw import Split
from duet_training.data.story_problems.draw import problems as stories
from duet_training.errors import DataError


@dataclass(frozen=True)
class Splits:
    """Problems by split, and the number of those that are in none."""

    parts: dict[str, list[Problem]]
    """Problems of each split, by its name."""
    repeats: int
    """Number of repeated or excluded questions."""
    unused: int
    """Number of problems of held-out templates that the test did not need."""


def split(
    problems: Sequence[Problem],
    *,
    seed: int,
    validation: int,
    test: int,
    exclude: frozenset[str] = frozenset(),
) -> Splits:
    """Shuffles by `seed` and deals out `test` and `validation` problems; the rest trains.

    Repeats (white space and case apart) and questions in `exclude` are dropped. Problems with a
    `group` (a template) are tested on templates that are in no other split: templates are put
    aside, in seeded order, until they hold `test` problems; left-over problems of those are unused.

    Raises:
        DataError: too few problems for what was asked.
    """
    seen = set(exclude)
    distinct: list[Problem] = []
    for problem in problems:
        if problem.key not in seen:
            seen.add(problem.key)
            distinct.append(problem)
    rng = random.Random(seed)
    rng.shuffle(distinct)
    if test and all(problem.group is not None for problem in distinct):
        tested, rest = _by_template(distinct, test, rng)
    else:
        tested, rest = distinct[:test], distinct[test:]
    parts = {"train": rest[validation:], "validation": rest[:validation], "test": tested}
    if len(rest) < validation or len(tested) < test:
        raise DataError(
            f"{len(distinct)} distinct problems are too few for "
            f"{validation} to validate and {test} to test"
        )
    return Splits(
        {name: part for name, part in parts.items() if part},
        repeats=len(problems) - len(distinct),
        unused=len(distinct) - len(rest) - len(tested),
    )


def split_stories(
    scope: str, seed: int, counts: Mapping[Split, int], exclude: frozenset[str]
) -> Splits:
    """So many stories of a scope a split; which split a story belongs to, its own text says.

    Raises:
        DataError: no such scope, or it has too few stories.
    """
    parts: dict[str, list[Problem]] = {}
    excluded = 0
    for name, count in counts.items():
        drawn = stories(scope, name, count, seed) if count else []
        kept = [problem for problem in drawn if problem.key not in exclude]
        excluded += len(drawn) - len(kept)
        if kept:
            parts[name] = kept
    return Splits(parts, repeats=excluded, unused=0)


def _by_template(
    problems: list[Problem], test: int, rng: random.Random
) -> tuple[list[Problem], list[Problem]]:
    templates = sorted({str(problem.group) for problem in problems})
    rng.shuffle(templates)
    aside: set[str] = set()
    held = 0
    for template in templates:
        if held >= test:
            break
        aside.add(template)
        held += sum(problem.group == template for problem in problems)
    tested = [problem for problem in problems if problem.group in aside]
    return tested[:test], [problem for problem in problems if problem.group not in aside]
