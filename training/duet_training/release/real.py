"""`duet-train release real SET FILE --to OUT`: a public test set, as pairs' pages have it.

FILE is the set as its repository has it; `real_sets.json` says which repository, commit and path
that is, and which rows (counted from 0) are left out. Three of the five are random parts of theirs,
so that a figure here is not one of the full benchmark.
"""

from importlib.resources import files
from pathlib import Path
from typing import Any

from duet_contract.answers.worked import final_line
from duet_contract.integrity import sha256_of
from duet_contract.json_data import json_text, parse_json
from duet_training.data.jsonl import json_lines
from duet_training.errors import DataError
from duet_training.files import write_text


def known_sets() -> dict[str, dict[str, Any]]:
    """Where each set is from, and which of its questions are left out."""
    text = files("duet_training.release").joinpath("real_sets.json").read_text("utf-8")
    found: dict[str, dict[str, Any]] = parse_json(text)
    return found


def read_real(name: str, file: Path) -> list[dict[str, str]]:
    """The set's rows that are asked: `id`, `question` and `answer`, a number as text.

    Raises:
        OSError: unreadable.
        DataError: not the file that the figures were measured with.
    """
    known = known_sets()[name]
    if sha256_of(file) != known["sha256"]:
        raise DataError(
            f"{file} is not {known['path']} of github.com/{known['repository']} "
            f"at {known['commit']}"
        )
    left_out = set(known["left_out"])
    return [
        {"id": f"{name}/{number:04}", **_question(row)}
        for number, (_, row) in enumerate(json_lines(file))
        if number not in left_out
    ]


def _question(row: dict[str, Any]) -> dict[str, str]:
    """Of GSM8K's rows, of SVAMP's, or of those that MAWPS's sets have there."""
    if "Body" in row:
        body = row["Body"] if row["Body"].endswith(".") else f"{row['Body']}."
        question, answer = f"{body} {row['Question']}", row["Answer"]
    elif "input" in row:
        question, answer = row["input"], row["target"]
    else:
        question, answer = row["question"], final_line(row["answer"]).replace(",", "")
    text = answer if isinstance(answer, str) else repr(float(answer)).removesuffix(".0")
    return {"question": question, "answer": text}


def write_real(name: str, file: Path, to: Path) -> None:
    """Write a set's questions as JSON lines.

    Raises:
        DataError: `file` is not the file that the figures were measured with.
        OSError: it is unreadable, or `to` cannot be written.
    """
    rows = read_real(name, file)
    write_text(to, "".join(json_text(row) + "\n" for row in rows))
    print(f"wrote {len(rows)} questions to {to}")
