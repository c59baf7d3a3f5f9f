"""User-supplied problems: JSONL, one object per line with `question`, `answer` and optional `id`.

An answer may be a worked solution that ends in "#### 72", as in GSM8K's files.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from duet_contract.answers.worked import reference_text
from duet_contract.json_data import keys_text, parse_json, read_text
from duet_training.data.rows import Problem
from duet_training.errors import DataError


def read_jsonl(file: Path, verifier: str) -> tuple[list[Problem], int]:
    """Read all problems of a file, and count the lines without an answer, which are skipped.

    Raises:
        DataError: The file is unreadable, a line is not an object, an answer is neither text nor a
            number, or no line has an answer.
    """
    problems, without = [], 0
    first = ""
    for number, row in json_lines(file):
        question = str(row.get("question") or "").strip()
        try:
            answer = reference_text(row.get("answer"))
        except ValueError as error:
            raise DataError(f"{file}, line {number}: {error}") from error
        if not question or not answer:
            without += 1
            first = first or f"line {number} needs 'question' and 'answer': {keys_text(row)}"
            continue
        name = str(row.get("id") or f"{file.stem}/{number}")
        problems.append(Problem(name, question, answer, file.stem, verifier))
    if not problems:
        raise DataError(
            f"{file} has no row with a question and an answer; {first or 'it is empty'}"
        )
    return problems, without


def json_lines(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each object of a file with its line number, from 1; skip empty lines.

    Raises:
        DataError: The file is unreadable, or a line is not an object.
    """
    try:
        # Not `splitlines`: JSON may contain other line separators unescaped. Windows editors begin
        # a file with a byte order mark.
        lines = read_text(file).split("\n")
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {file}: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except ValueError as error:
            raise DataError(f"{file}, line {number}: not JSON ({error})") from error
        if not isinstance(row, dict):
            raise DataError(f"{file}, line {number}: not an object")
        yield number, row
