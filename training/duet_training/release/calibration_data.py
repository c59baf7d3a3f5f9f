"""`duet-train release calibration-data`: questions that a released pair's calibration is fitted on.

Questions of given sets, some of a training set, and generated ones of the validation split. None is
twice there, and none is in a set that the pair is measured on, not even with other numbers.
"""

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from duet_contract.json_data import json_text
from duet_training.data.jsonl import read_jsonl
from duet_training.data.word_problems.generate import generated
from duet_training.errors import DataError
from duet_training.files import write_text

Question = tuple[str, str, str]
"""Id, question and answer."""
_NUMBER, _SPACE = re.compile(r"\d[\d.,]*"), re.compile(r"\s+")


def write_questions(
    to: Path,
    sets: Sequence[Path],
    apart: Sequence[Path],
    worked: Path | None,
    count: int,
    seed: int,
) -> Counter[str]:
    """Write the questions as JSON lines.

    Args:
        to: the file to write.
        sets: files of which every question is taken.
        apart: files of which no question may be taken.
        worked: a file of which `count` questions are drawn; None draws none.
        count: questions that are generated, too.
        seed: of both draws.

    Returns:
        Number of questions by their source.

    Raises:
        DataError: a file cannot be read, or `worked` has too few questions.
        OSError: `to` cannot be written.
    """
    taken = {_without_numbers(question) for file in apart for _, question, _ in _read(file)}
    parts = [(file.stem, _read(file)) for file in sets]
    if worked:
        parts.append((worked.stem, _drawn(worked, count, seed)))
    parts.append(("generated", list(islice(_generated(seed), count))))
    rows, counts = [], Counter[str]()
    for source, questions in parts:
        for id_, question, answer in _new(questions, taken):
            rows.append({"id": id_, "question": question, "answer": answer})
            counts[source] += 1
    write_text(to, "".join(json_text(row, ensure_ascii=False) + "\n" for row in rows))
    return counts


def _drawn(file: Path, count: int, seed: int) -> list[Question]:
    questions = _read(file)
    if len(questions) < count:
        raise DataError(f"{file} has {len(questions)} questions, --count asks for {count}")
    return random.Random(f"calibration/{seed}").sample(questions, count)


def _read(file: Path) -> list[Question]:
    return [(each.id, each.question, each.answer) for each in read_jsonl(file, "number")[0]]


def _generated(seed: int) -> Iterator[Question]:
    drawn = generated(random.Random(f"calibration/{seed}"), "validation")
    for number, problem in enumerate(drawn):
        if problem.answer:
            yield f"generated/{number:04}", problem.question, problem.answer


def _new(questions: Iterable[Question], taken: set[str]) -> Iterator[Question]:
    """Yield the questions that are not in `taken`, and add them."""
    for each in questions:
        key = _without_numbers(each[1])
        if key not in taken:
            taken.add(key)
            yield each


def _without_numbers(question: str) -> str:
    """Return what questions are compared by.

    Examples:
        >>> _without_numbers("Ann has 1,000 pens .")
        'annhaspens.'
    """
    return _SPACE.sub("", _NUMBER.sub("", question)).casefold()
