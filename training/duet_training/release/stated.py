"""Count the signals of a bench run that state the answer, from what was recorded per question."""

import json
from pathlib import Path
from typing import Any

from duet_training.evaluation.signal_content import answer_spans
from duet_training.release.bench import SPLIT


def stated_answers(recorded: Path, questions: Path) -> dict[str, int]:
    """Compare the split's signals with the references of their questions.

    A formula over labels can state the answer by chance alone: by a constant, such as the 2 of
    `a/2`, that equals it.

    Args:
        recorded: the bench's `questions.jsonl`.
        questions: the set, whose rows have an `answer` and may have an `id`.

    Returns:
        `signals`, all of the split; `stated`, those with a number that equals the reference.
    """
    references = {
        str(row.get("id", number)): str(row["answer"])
        for number, row in enumerate(_rows(questions), 1)
    }
    asked = [row for row in _rows(recorded) if row["cell"].startswith(f"{SPLIT}@")]
    stated = sum(bool(answer_spans(row.get("signal", ""), references[row["id"]])) for row in asked)
    return {"signals": len(asked), "stated": stated}


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
