"""`python -m duet_training.data.word_problems`: masked word problems as JSON lines.

Prints generated problems, or with `--annotated FILE` those of a file as GSM8K writes it, and on
standard error how many of its solutions became formulas.
"""

import argparse
import random
import sys
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import get_args

from duet_contract.json_data import json_text
from duet_training.commands import COUNT, SEED
from duet_training.data.story_problems.draw import Split
from duet_training.data.word_problems.annotated import read_annotated
from duet_training.data.word_problems.generate import generated
from duet_training.data.word_problems.problem import MaskedProblem


def _parser() -> argparse.ArgumentParser:
    assert __doc__
    parser = argparse.ArgumentParser(
        prog="python -m duet_training.data.word_problems", description=__doc__.split("\n\n", 1)[1]
    )
    parser.add_argument("--annotated", type=Path, help="GSM8K's training set, JSONL")
    parser.add_argument("--split", choices=get_args(Split), default="test")
    parser.add_argument("--held-out", action="store_true", help="of templates never trained on")
    parser.add_argument("--count", type=COUNT, default=200, help="generated problems [200]")
    parser.add_argument("--seed", type=SEED, default=0)
    return parser


def _problems(options: argparse.Namespace) -> Iterable[MaskedProblem]:
    if options.annotated:
        found = read_annotated(options.annotated)
        left_out = sum(found.left_out.values())
        print(f"{len(found.problems)} formulas, {left_out} solutions left out:", file=sys.stderr)
        for reason, count in found.left_out.most_common():
            print(f"  {count:5d} {reason}", file=sys.stderr)
        return found.problems
    rng = random.Random(f"word problems/{options.seed}")
    return islice(generated(rng, options.split, held_out=options.held_out), options.count)


def run(arguments: list[str] | None = None) -> int:
    """Prints problems; the exit code."""
    for problem in _problems(_parser().parse_args(arguments)):
        row = {
            "id": problem.id,
            "question": problem.question,
            "answer": problem.answer,
            "masked": problem.masked.text,
            "formula": problem.formula,
            "sentence": problem.sentence,
        }
        print(json_text(row, ensure_ascii=False))
    return 0
