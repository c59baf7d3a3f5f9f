"""Which problems are used: those whose prompts fit, and those of a step."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

import numpy as np

from duet_contract.errors import PromptError
from duet_contract.json_data import json_text
from duet_training.data.rows import Problem
from duet_training.errors import DataError
from duet_training.pair.prompting import PairPrompts

ROWS = "rows"
"""The value of `data.verifier` that leaves each row its own verifier."""


def judged_by(problems: Sequence[Problem], verifier: str) -> list[Problem]:
    """Problems with `verifier`, or with their own if it is `rows`."""
    if verifier == ROWS:
        return list(problems)
    return [replace(problem, verifier=verifier) for problem in problems]


def fitting(
    problems: Sequence[Problem], prompts: PairPrompts, limit: int
) -> tuple[list[Problem], int]:
    """Problems whose reasoner's prompt has at most `limit` tokens, and how many have more.

    Prompts are left out, never cut.

    Raises:
        DataError: none fits, or a question cannot be put into a prompt.
        ConfigError: rows and pair both have an instruction, or neither has one.
    """
    prompts.check_instruction(problems)
    try:
        kept = [p for p in problems if len(prompts.reasoner(p.for_reasoner)) <= limit]
    except PromptError as error:
        raise DataError(str(error)) from error
    if problems and not kept:
        raise DataError(f"all {len(problems)} prompts are longer than {limit} tokens")
    return kept, len(problems) - len(kept)


def check_decoder_prompts(problems: Sequence[Problem], prompts: PairPrompts, limit: int) -> None:
    """Check that the decoder's prompts, with an empty signal and without one, have at most `limit` tokens.

    Raises:
        DataError: A question is too long, which would otherwise end the run in the step that asks it.
    """
    asked = [problem.for_decoder for problem in problems]
    longest = [max(len(prompts.guided(text, [])), len(prompts.alone(text))) for text in asked]
    if long := sum(tokens > limit for tokens in longest):
        raise DataError(
            f"{long} of {len(problems)} questions do not fit into tokens.decoder_prompt ({limit}), the "
            f"longest needs {max(longest)} tokens: raise it, or lower data.max_prompt"
        )


def check_apart(
    train: Sequence[Problem], held_out: Sequence[Problem], file: object, others: object
) -> None:
    """Check that no held-out question is trained on (white space and case apart).

    Raises:
        DataError: They share questions; the message names `file`, the validation set, and `others`.
    """
    known = {problem.key for problem in train}
    shared = [problem for problem in held_out if problem.key in known]
    if shared:
        raise DataError(
            f"{len(shared)} of {len(held_out)} questions of {file} are in the training data, too "
            f"(the first: {' '.join(shared[0].question.split())[:60]!r}): prepare it with "
            f"--exclude {others}"
        )


def problems_of_step(
    problems: Sequence[Problem], step: int, questions: int, seed: int
) -> list[Problem]:
    """Return the problems of a step, from 1. Each epoch is a new shuffle; an incomplete last step is skipped.

    They follow from the seed and the step alone.

    Raises:
        DataError: fewer problems than a step needs.
    """
    per_epoch = len(problems) // questions
    if not per_epoch:
        raise DataError(f"{len(problems)} problems are fewer than one step's {questions}")
    epoch, place = divmod(step - 1, per_epoch)
    order = np.random.default_rng([seed, epoch]).permutation(len(problems))
    return [problems[i] for i in order[place * questions : (place + 1) * questions]]


def content_digest(problems: Sequence[Problem]) -> str:
    """Return the SHA-256 of what models read and are judged by, in order: what a step's data follow from."""
    rows = [[p.for_reasoner, p.for_decoder, p.answer, p.verifier] for p in problems]
    return sha256(json_text(rows).encode()).hexdigest()
