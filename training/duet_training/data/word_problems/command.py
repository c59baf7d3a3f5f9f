"""`duet-train data word-problems`: masked word problems as JSON lines."""

import random
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from duet_contract.json_data import json_text
from duet_training.data.story_problems.draw import Split
from duet_training.data.word_problems.annotated import read_annotated
from duet_training.data.word_problems.generate import generated
from duet_training.data.word_problems.problem import MaskedProblem


def _problems(
    annotated: Path | None, split: Split, held_out: bool, count: int, seed: int
) -> Iterable[MaskedProblem]:
    if annotated:
        found = read_annotated(annotated)
        left_out = sum(found.left_out.values())
        print(f"{len(found.problems)} formulas, {left_out} solutions left out:", file=sys.stderr)
        for reason, count in found.left_out.most_common():
            print(f"  {count:5d} {reason}", file=sys.stderr)
        return found.problems
    rng = random.Random(f"word problems/{seed}")
    return islice(generated(rng, split, held_out=held_out), count)


def problem_lines(
    annotated: Path | None, split: Split, held_out: bool, count: int, seed: int
) -> Iterator[str]:
    """Write masked problems as JSON: those of the file `annotated`, or generated ones."""
    for problem in _problems(annotated, split, held_out, count, seed):
        row = {
            "id": problem.id,
            "question": problem.question,
            "answer": problem.answer,
            "masked": problem.masked.text,
            "formula": problem.formula,
            "sentence": problem.sentence,
        }
        yield json_text(row, ensure_ascii=False)
