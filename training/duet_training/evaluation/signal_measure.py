"""Measures what signals carry: the same decoder, and an untouched one, read parts of them.

`duet-train evaluate method=signal` answers as `method=duet` does and adds the part `signal` to the
result. All readings, the whole signal too, are tokenized from the signal's text, so that an edit is
the only difference between two of them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from duet_report.intervals import bootstrap_mean, bounds
from duet_training.data.rows import Problem
from duet_training.evaluation.methods import Models
from duet_training.evaluation.scoring import Scores
from duet_training.evaluation.signal_content import SHARES, answer_spans, edited

_WHOLE = f"{SHARES[-1]:.0%}"


def stated(problems: Sequence[Problem], signals: Sequence[str]) -> list[bool]:
    """Return for each signal whether it states the reference."""
    return [
        bool(answer_spans(signal, problem.answer))
        for problem, signal in zip(problems, signals, strict=True)
    ]


def readings(
    models: Models, problems: Sequence[Problem], signals: Sequence[str]
) -> dict[str, list[list[int]]]:
    """Return every reading of the signals as the reasoner's token ids, by name."""
    encode = models.prompts.signal_ids
    ids = [encode(signal) for signal in signals]
    found = {f"{share:.0%}": [each[: round(share * len(each))] for each in ids] for share in SHARES}
    rows = [
        edited(signal, problem.answer, f"{index}")
        for index, (problem, signal) in enumerate(zip(problems, signals, strict=True))
    ]
    for name in rows[0]:
        found[name] = [encode(row[name]) for row in rows]
    return found


def read(
    models: Models,
    problems: Sequence[Problem],
    signals: Sequence[str],
    score: Callable[[Sequence[str]], Scores],
) -> dict[str, Any]:
    """Answer every question from every reading of its signal; `score` scores one answer a question, (N,).

    Returns:
        By reading: accuracy over all questions with its 95% interval, and over those whose whole
        signal states the reference (None without one).
    """
    has = np.array(stated(problems, signals))
    found: dict[str, Any] = {}
    for name, ids in readings(models, problems, signals).items():
        prompts = [
            models.guided_prompt(problem.for_decoder, signal)
            for problem, signal in zip(problems, ids, strict=True)
        ]
        answers = [
            # Only a formula that the reasoner ended has the last word.
            models.prompts.answer(
                problem.for_decoder, signal, response.tokens, whole=name == _WHOLE
            )
            for problem, signal, response in zip(problems, ids, models.decode(prompts), strict=True)
        ]
        scores = score(answers)
        found[name] = {
            "accuracy": float(scores.mean()),
            "accuracy_95": bounds(bootstrap_mean(scores[:, None])),
            "accuracy_where_stated": float(scores[has].mean()) if has.any() else None,
        }
    return found


def rates(
    problems: Sequence[Problem], signals: Sequence[str], scores: Scores
) -> dict[str, float | None]:
    """Return how often signals state the reference: of all, and of those that led to a right answer.

    `scores`: of the answers to these signals, (N,).
    """
    has = np.array(stated(problems, signals))
    right = scores == 1
    return {
        "stated": float(has.mean()),
        "stated_of_right": float(has[right].mean()) if right.any() else None,
    }
