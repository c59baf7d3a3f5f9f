"""Which problems a step sees: a function of the seed and the step alone."""

from collections.abc import Sequence

import numpy as np

from duet_training.data.rows import Problem
from duet_training.errors import DataError


def problems_of_step(
    problems: Sequence[Problem], step: int, questions: int, seed: int
) -> list[Problem]:
    """Problems of step 1, 2, ...: every epoch is a new shuffle, and its left-over is skipped.

    Raises:
        DataError: fewer problems than a step needs.
    """
    per_epoch = len(problems) // questions
    if not per_epoch:
        raise DataError(f"{len(problems)} problems are fewer than one step's {questions}")
    epoch, place = divmod(step - 1, per_epoch)
    order = np.random.default_rng([seed, epoch]).permutation(len(problems))
    return [problems[i] for i in order[place * questions : (place + 1) * questions]]
