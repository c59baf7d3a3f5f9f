"""A decoder from a directory on this machine: a mounted disk, or what was copied by hand."""

import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from duet_contract.errors import ContractError
from duet_contract.manifest import MANIFEST_NAME, PairFile
from duet_contract.signature import read_signature
from duet_device.errors import ModelProblem
from duet_device.pairs.pulling.source import MOST_MANIFEST_BYTES, Progress, append, size_of

_CHUNK_BYTES = 1 << 20


class LocalSource:
    """The pair in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.name = str(directory)
        self._directory = directory

    def describe(self) -> tuple[bytes, bytes | None]:
        """See `Source`.

        Raises:
            ModelProblem: there is no pair, or it cannot be read.
        """
        try:
            with (self._directory / MANIFEST_NAME).open("rb") as file:
                return file.read(MOST_MANIFEST_BYTES + 1), read_signature(self._directory)
        except OSError as error:
            raise ModelProblem(f"cannot read the pair {self.name}: {error.strerror}") from error
        except ContractError as error:
            raise ModelProblem(str(error)) from error

    def fetch(self, pair: str, file: PairFile, target: Path, progress: Progress) -> None:
        """See `Source`.

        Raises:
            ModelProblem: the file is missing, a link, or cannot be read.
        """
        append(target, file, self._chunks(file, size_of(target)), progress)

    def close(self) -> None:
        """See `Source`."""

    def _chunks(self, file: PairFile, offset: int) -> Iterator[bytes]:
        path = self._directory / file.path
        try:
            with FileIO(os.open(path, os.O_RDONLY | os.O_NOFOLLOW)) as content:
                content.seek(offset)
                while data := content.read(_CHUNK_BYTES):
                    yield data
        except OSError as error:
            raise ModelProblem(f"cannot read {path}: {error.strerror}") from error
