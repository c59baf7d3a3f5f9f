"""One problem and its storage format: VERL's parquet rows.

Columns: `data_source`, `prompt` (chat messages), `ability`, `reward_model` (`style`,
`ground_truth`), `extra_info`. The last holds DUET's own fields: `id`, `question`, `verifier`,
`split`, `metadata` as JSON text (a parquet column has the same structure in every row), and `asks`,
the data set's own instruction to each model.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from duet_contract.json_data import parse_json
from duet_training.data.sets import QUESTION, Asks
from duet_training.errors import DataError
from duet_training.evaluation.verifiers import Truth


@dataclass(frozen=True)
class Problem:
    """A question with its reference answer."""

    id: str
    """Id of the problem in its set."""
    question: str
    """Text of the question."""
    answer: str
    """The reference answer."""
    source: str
    """Data set that it comes from."""
    verifier: str = "math"
    """Name of the verifier that scores answers."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """Further fields for verifiers."""
    group: str | None = None
    """Template of a generated problem; None for other problems."""
    asks: Asks | None = None
    """The data set's instruction to each model; None leaves it to the pair's prompts."""

    @property
    def for_reasoner(self) -> str:
        """What the reasoner reads in its question slot."""
        return self.asks.reasoner.replace(QUESTION, self.question) if self.asks else self.question

    @property
    def for_decoder(self) -> str:
        """What the decoder reads in its question slot."""
        return self.asks.decoder.replace(QUESTION, self.question) if self.asks else self.question

    @property
    def truth(self) -> Truth:
        """The verifier's input."""
        return Truth(self.answer, self.metadata)

    @property
    def key(self) -> str:
        """Deduplication key: equal for questions that differ only in white space and case."""
        return " ".join(self.question.split()).casefold()


def write_rows(problems: Sequence[Problem], split: str, file: Path) -> None:
    """Write one split as parquet."""
    rows = [
        {
            "data_source": problem.source,
            "prompt": [{"role": "user", "content": problem.question}],
            "ability": "reasoning",
            "reward_model": {"style": "rule", "ground_truth": problem.answer},
            "extra_info": {
                "id": problem.id,
                "question": problem.question,
                "verifier": problem.verifier,
                "split": split,
                "metadata": json.dumps(problem.metadata, ensure_ascii=False, default=str),
                "asks": asdict(problem.asks) if problem.asks else None,
            },
        }
        for problem in problems
    ]
    pq.write_table(pa.Table.from_pylist(rows), file)


def paths_of(named: object) -> tuple[Path, ...]:
    """Return the paths that a setting names: a path or text, alone or in a list.

    Raises:
        TypeError: The value is neither. ValueError: The list is empty.
    """
    if isinstance(named, str | Path):
        return (Path(named),)
    if not isinstance(named, list | tuple):
        raise TypeError(f"{named!r} is neither a file nor a list of files")
    if not named:
        raise ValueError("no file")
    return tuple(Path(file) for file in named)


def read_rows(files: Path | Sequence[Path]) -> list[Problem]:
    """Read splits that `write_rows` wrote, one after another.

    Raises:
        DataError: A file is missing or not parquet, or a row lacks a required field.
    """
    return [problem for file in paths_of(files) for problem in _read(file)]


def _read(file: Path) -> list[Problem]:
    try:
        rows = pq.read_table(file).to_pylist()
        problems = [_problem(row) for row in rows]
    except FileNotFoundError as error:
        # Arrow says no more than the path.
        raise DataError(
            f"cannot read the data {file}: there is no such file; "
            f"`duet-train data prepare NAME --out {file.parent}` writes one"
        ) from error
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"cannot read the data {file}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file} lacks columns of `duet-train data prepare` ({error!r})") from error
    if not problems:
        raise DataError(f"{file} has no rows")
    without = sum(not problem.answer for problem in problems)
    if without:
        raise DataError(
            f"{without} of {len(problems)} rows in {file} have no answer; "
            "`duet-train data prepare` leaves such rows out"
        )
    return problems


def _problem(row: dict[str, Any]) -> Problem:
    extra, answer = row["extra_info"], row["reward_model"]["ground_truth"]
    return Problem(
        id=extra["id"],
        question=extra["question"],
        answer="" if answer is None else str(answer).strip(),
        source=row["data_source"],
        verifier=extra["verifier"],
        metadata=parse_json(extra["metadata"], finite=False),
        asks=Asks(**extra["asks"]) if extra.get("asks") else None,
    )


def questions_of(files: Iterable[Path]) -> set[str]:
    """Return the keys of all questions in some splits, to exclude them from another split."""
    return {problem.key for file in files for problem in read_rows(file)}
