"""Prompts that are too long: counted and left out, never cut."""

from collections.abc import Sequence

from duet_contract.errors import PromptError
from duet_training.data.rows import Problem
from duet_training.errors import DataError
from duet_training.pair.prompting import PairPrompts


def fitting(
    problems: Sequence[Problem], prompts: PairPrompts, limit: int
) -> tuple[list[Problem], int]:
    """Problems whose reasoner's prompt has at most `limit` tokens, and how many have more.

    Raises:
        DataError: none fits, or a question cannot be put into a prompt.
    """
    try:
        kept = [p for p in problems if len(prompts.reasoner(p.question)) <= limit]
    except PromptError as error:
        raise DataError(str(error)) from error
    if problems and not kept:
        raise DataError(f"all {len(problems)} prompts are longer than {limit} tokens")
    return kept, len(problems) - len(kept)
