"""The questions of a run: JSON lines with `question`, and `answer` where accuracy is wanted.

An answer may be a worked solution that ends in "#### 72", as GSM8K's files have it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from duet_contract.answers.worked import reference_text
from duet_contract.errors import PromptError
from duet_contract.json_data import keys_text, parse_json
from duet_contract.prompts import check_question
from duet_tools.errors import UsageProblem
from duet_tools.files import read_text


@dataclass(frozen=True)
class QuestionRow:
    """One row of the data."""

    id: str
    """Id of the question in the data."""
    text: str
    """Text of the question."""
    answer: str | None = None
    """Reference answer; None if the data has no reference."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Further fields for verifiers."""


def read_questions(path: Path, limit: int | None = None) -> list[QuestionRow]:
    """Return the first `limit` questions of a file, in its order.

    Raises:
        UsageProblem: it cannot be read, holds no question, or a row is malformed.
    """
    found: dict[str, QuestionRow] = {}
    # Only line feeds end a row: JSON strings may hold the other line separators of Unicode.
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        if limit is not None and len(found) >= limit:
            break
        question = _question(f"{path.name}, line {number}", number, line)
        if question.id in found:
            raise UsageProblem(f"{path.name} has two questions of id {question.id!r}")
        found[question.id] = question
    if not found:
        raise UsageProblem(f"{path.name} holds no questions")
    return list(found.values())


def have_answers(questions: Sequence[QuestionRow]) -> bool:
    """Return whether accuracy can be computed: every question has its answer."""
    return all(question.answer is not None for question in questions)


def _question(where: str, number: int, line: str) -> QuestionRow:
    try:
        row = parse_json(line)
    except ValueError as error:
        raise UsageProblem(f"{where} is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise UsageProblem(f"{where} is not an object")
    text = row.get("question")
    if not isinstance(text, str):
        raise UsageProblem(f"{where} has no text 'question': {keys_text(row)}")
    try:
        check_question(text)
    except PromptError as error:
        raise UsageProblem(f"{where}: {error}") from error
    answer, metadata = row.get("answer"), row.get("metadata", {})
    if not isinstance(metadata, dict):
        raise UsageProblem(f"{where}: 'metadata' is not an object")
    try:
        reference = reference_text(answer)
    except ValueError as error:
        raise UsageProblem(f"{where}: {error}") from error
    return QuestionRow(
        id=str(row.get("id", number)), text=text, answer=reference or None, metadata=metadata
    )
