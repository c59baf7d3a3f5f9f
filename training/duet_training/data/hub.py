"""Reads a data set from the hub, or from a local copy in the hub's layout."""

import random
from pathlib import Path
from typing import Any

from duet_contract.answers import last_boxed
from duet_contract.errors import first_line
from duet_training.data.rows import Problem
from duet_training.data.sets import HubSet
from duet_training.errors import DataError

_LETTERS = "ABCD"
_CHOOSE = "\n\nAnswer with the letter of the right choice."


def read_set(
    name: str, source: HubSet, local: Path | None, seed: int, *, released: bool = False
) -> tuple[list[Problem], int]:
    """Read all problems of a set, and count the rows that were left out for want of an answer.

    `local` is a copy of the set; `seed` orders the choices of multiple-choice questions. Rows that are
    `released` have the released code's instruction and verifier; for others, the pair's prompts have
    an instruction.

    Raises:
        DataError: it cannot be loaded, lacks a column, or no row has an answer.
    """
    rows = _load(name, source, local)
    needed = {source.question, source.answer.removeprefix("boxed:"), *source.wrong_answers}
    missing = needed - set(rows[0]) if rows else set()
    if missing:
        raise DataError(f"{name} has no column {sorted(missing)}; it has {sorted(rows[0])}")
    problems, without = [], 0
    for index, row in enumerate(rows):
        question, answer = str(row[source.question] or "").strip(), _answer(source, row)
        if not question or not answer:
            without += 1
            continue
        verifier, metadata = "math", dict[str, Any]()
        if source.wrong_answers:
            question, answer, metadata = _choices(source, row, question, f"{seed}:{index}")
            verifier = "choice"
            question += "" if released else _CHOOSE
        if released:
            verifier = source.released_verifier
        asks = source.asks if released else None
        problems.append(
            Problem(f"{name}/{index}", question, answer, name, verifier, metadata, asks=asks)
        )
    if not problems:
        raise DataError(f"{name} has no row with a question and an answer ({without} without)")
    return problems, without


def _load(name: str, source: HubSet, local: Path | None) -> list[dict[str, Any]]:
    import datasets

    datasets.disable_progress_bars()
    where = str(local) if local else source.repository
    if local and not local.is_dir():
        raise DataError(f"there is no directory {local}")
    arguments: dict[str, Any] = {"split": source.split}
    if source.config:
        if local and not (local / "README.md").is_file():
            # Without its card the layout alone says which files are the configuration's.
            folder = (local / source.config).is_dir()
            pattern = f"{source.config}/**" if folder else f"{source.config}.*"
            arguments["data_files"] = {source.split: pattern}
        else:
            arguments["name"] = source.config
    try:
        return list(datasets.load_dataset(where, **arguments))
    except Exception as error:  # datasets raises whatever its loaders and the network raise
        hint = "" if local else "; give a local copy of the repository with --from DIRECTORY"
        raise DataError(f"cannot load {name} from {where}: {first_line(error)}{hint}") from error


def _answer(source: HubSet, row: dict[str, Any]) -> str:
    column = source.answer.removeprefix("boxed:")
    value = row[column]
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = "" if value is None else str(value).strip()
    return text if column == source.answer else (last_boxed(text) or "")


def _choices(
    source: HubSet, row: dict[str, Any], question: str, seed: str
) -> tuple[str, str, dict[str, Any]]:
    right = str(row[source.answer]).strip()
    choices = [right, *(str(row[column]).strip() for column in source.wrong_answers)]
    order = random.Random(seed).sample(range(len(choices)), len(choices))
    lines = [f"{_LETTERS[place]}. {choices[index]}" for place, index in enumerate(order)]
    text = question + "\n\n" + "\n".join(lines)
    return text, _LETTERS[order.index(0)], {"right": right}
