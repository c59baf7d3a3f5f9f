"""Where a decoder comes from, as the installer sees it, and what all such places share."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from duet_contract.manifest import PairFile
from duet_device.errors import ModelProblem, UntrustedPair

# Far above any real one: a source must not fill the memory.
MOST_MANIFEST_BYTES = 4 << 20

Progress = Callable[[int], None]


class Source(Protocol):
    """A place that has a pair."""

    name: str

    def describe(self) -> tuple[bytes, bytes | None]:
        """The bytes of manifest and signature (None: not signed)."""
        ...

    def fetch(self, pair: str, file: PairFile, target: Path, progress: Progress) -> None:
        """Completes `target`, which may hold the file's first bytes already.

        Args:
            pair: as "id@version".
            file: as its manifest describes it.
            target: where it goes.
            progress: told how many bytes came.
        """
        ...

    def close(self) -> None:
        """Ends whatever is open."""
        ...


def append(target: Path, file: PairFile, chunks: Iterable[bytes], progress: Progress) -> None:
    """Writes chunks behind what `target` holds, each as it comes, so that a cut loses none.

    Raises:
        UntrustedPair: more bytes come than the manifest says.
        ModelProblem: they cannot be written.
    """
    size = size_of(target)
    try:
        with target.open("ab", buffering=0) as out:
            for chunk in chunks:
                size += len(chunk)
                if size > file.bytes:
                    raise UntrustedPair(
                        f"{file.path} is larger there than the {file.bytes} bytes that its "
                        "manifest says"
                    )
                out.write(chunk)
                progress(len(chunk))
    except OSError as error:
        raise ModelProblem(f"cannot write {target}: {error.strerror}") from error


def size_of(path: Path) -> int:
    """Bytes of a file, 0 if there is none."""
    return path.stat().st_size if path.exists() else 0
