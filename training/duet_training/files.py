"""Files of a run: written whole or not at all, so that no command takes a part for the result."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from duet_contract.json_data import json_text


def write_text(file: Path, text: str) -> None:
    """Write a text file, and its directory if that is missing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.partial")
    partial.write_text(text, "utf-8")
    partial.replace(file)


def write_json(file: Path, data: object, *, indent: int | None = 1) -> None:
    """Write a file of JSON; see `json_text`."""
    write_text(file, json_text(data, indent=indent) + "\n")


@contextmanager
def replacing(directory: Path) -> Iterator[Path]:
    """Yield a scratch directory, whose files then take the place of those in `directory`.

    A file there is never written into: others may share its blocks (hard links), or read it.
    """
    scratch = directory.with_name(f".{directory.name}.partial")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        yield scratch
        directory.mkdir(parents=True, exist_ok=True)
        for file in scratch.iterdir():
            file.replace(directory / file.name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def steps_saved(checkpoints: Path) -> list[int]:
    """List the steps that have a whole checkpoint (`step_N/state.json`), ascending."""
    names = [
        file.parent.name.removeprefix("step_") for file in checkpoints.glob("step_*/state.json")
    ]
    return sorted(int(name) for name in names if name.isdigit())
