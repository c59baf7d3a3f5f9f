"""Define the sources of decoders, as the installer uses them, and their shared functions."""

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
        """Return the bytes of manifest and signature (None: not signed)."""
        ...

    def fetch(self, pair: str, file: PairFile, target: Path, progress: Progress) -> None:
        """Complete `target`, which may hold the file's first bytes already.

        Args:
            pair: as "id@version".
            file: as its manifest describes it.
            target: path of the file to write.
            progress: receives the number of bytes that arrived.
        """
        ...

    def close(self) -> None:
        """End whatever is open."""
        ...


def append(target: Path, file: PairFile, chunks: Iterable[bytes], progress: Progress) -> None:
    """Append chunks to `target` as they arrive, so that an interruption loses none.

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
                rest = memoryview(chunk)
                while rest:
                    # A disk that is nearly full takes a part, and refuses the next.
                    rest = rest[out.write(rest) :]
                progress(len(chunk))
    except OSError as error:
        raise ModelProblem(f"cannot write {target}: {error.strerror}") from error


def size_of(path: Path) -> int:
    """Return the size of a file in bytes; 0 if it does not exist."""
    return path.stat().st_size if path.exists() else 0
