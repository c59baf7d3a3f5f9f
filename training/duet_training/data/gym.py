"""Generated problems: any task of `reasoning-gym`, by name, for machines without a hub."""

from typing import Any

from duet_training.data.rows import Problem
from duet_training.errors import DataError


def generate(task: str, size: int, seed: int, options: dict[str, Any]) -> tuple[list[Problem], int]:
    """Up to `size` distinct problems of a task, and how many were left out for an empty answer.

    `gsm_symbolic` problems carry their template as `group`, and their worked solution in the
    metadata (`answer_cot`). A task that repeats itself may give fewer than `size`.

    Raises:
        DataError: no such task, or it refuses the options.
    """
    import reasoning_gym
    from reasoning_gym.factory import DATASETS

    if task not in DATASETS:
        close = [known for known in sorted(DATASETS) if task.split("_")[0] in known]
        hint = f"; close to it: {', '.join(close[:8])}" if close else ""
        raise DataError(f"reasoning-gym has no task {task!r}{hint}")
    try:
        source = reasoning_gym.create_dataset(task, seed=seed, size=2 * size, **options)
        templates = getattr(source, "task_indices", None)
        found: dict[str, Problem] = {}
        without = 0
        for index in range(2 * size):
            entry = source[index]
            if not str(entry["answer"]).strip():
                without += 1  # nothing in a box would be right
                continue
            group = str(templates[index]) if templates is not None else None
            problem = Problem(
                f"{task}/{seed}/{index}",
                entry["question"].strip(),
                str(entry["answer"]),
                f"gym:{task}",
                "gym",
                {"entry": entry},
                group,
            )
            found.setdefault(problem.key, problem)
            if len(found) == size:
                break
    except (AssertionError, TypeError, ValueError) as error:
        raise DataError(f"reasoning-gym's task {task!r} refuses this: {error}") from error
    return list(found.values()), without
