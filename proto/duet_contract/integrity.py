"""Checks a pair's files against its manifest before anything is loaded from them."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from duet_contract.errors import IntegrityError
from duet_contract.manifest import PairFile


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_file(directory: Path, path: Path) -> PairFile:
    """The manifest entry of `path`, a file below `directory`."""
    return PairFile(
        path=path.relative_to(directory).as_posix(),
        bytes=path.stat().st_size,
        sha256=sha256_of(path),
    )


def verify_files(directory: Path, files: Iterable[PairFile]) -> None:
    """Checks size and SHA-256 of each file; sizes first, since a truncated file is told at once.

    Raises:
        IntegrityError: naming the first file that is missing, truncated or altered.
    """
    files = tuple(files)
    for file in files:
        path = directory / file.path
        try:
            found = path.stat().st_size
        except OSError as error:
            raise IntegrityError(f"{path} is missing: build or fetch the pair again") from error
        if found != file.bytes:
            raise IntegrityError(
                f"{path} has {found} bytes, its manifest says {file.bytes}: "
                "build or fetch the pair again"
            )
    for file in files:
        path = directory / file.path
        try:
            digest = sha256_of(path)
        except OSError as error:
            raise IntegrityError(f"cannot read {path}: {error}") from error
        if digest != file.sha256:
            raise IntegrityError(
                f"{path} was altered: its sha256 is {digest}, its manifest says {file.sha256}"
            )
