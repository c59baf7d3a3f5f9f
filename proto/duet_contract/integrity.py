"""Check a pair's files against its manifest before anything is loaded from them."""

import hashlib
import os
import stat
from collections.abc import Collection, Iterable
from io import BufferedReader, FileIO
from pathlib import Path, PurePosixPath

from duet_contract.errors import IntegrityError
from duet_contract.gguf_header import check_gguf
from duet_contract.manifest import PairFile
from duet_contract.verified import FileHash, Verified

_AGAIN = "build or fetch the pair again"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_file(directory: Path, path: Path) -> PairFile:
    """Return the manifest entry of `path`, a file below `directory`."""
    return PairFile(
        path=path.relative_to(directory).as_posix(),
        bytes=path.stat().st_size,
        sha256=sha256_of(path),
    )


def describe_directory(root: Path, directory: Path) -> tuple[PairFile, ...]:
    """Return the manifest entries of all files in `directory`, a folder of the pair's `root`."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return tuple(describe_file(root, path) for path in files)


def verify_files(
    directory: Path,
    files: Iterable[PairFile],
    *,
    gguf: Collection[str] = (),
    whole: str | None = None,
    verified: Verified | None = None,
) -> None:
    """Check size and SHA-256 of each file; sizes first, which finds truncated files at once.

    Args:
        directory: the pair's.
        files: what its manifest says of them.
        gguf: paths of those that llama.cpp will read, whose headers are checked as well.
        whole: a folder of the pair that is read whole: it may contain nothing but `files`.
        verified: files that were hashed before and have not changed since; None hashes all files.

    Raises:
        IntegrityError: names the first file that is missing, truncated, modified, a link, a GGUF
            whose header exceeds the file, or absent from the manifest.
    """
    files = tuple(files)
    if whole is not None:
        _refuse_others(directory, whole, {file.path for file in files})
    for file in files:
        found = _status(directory, file.path).st_size
        if found != file.bytes:
            raise IntegrityError(
                f"{directory / file.path} has {found} bytes, its manifest says {file.bytes}: "
                f"{_AGAIN}"
            )
    for file in files:
        try:
            _verify(directory, file, file.path in gguf, verified)
        except OSError as error:
            raise IntegrityError(f"cannot read {directory / file.path}: {error}") from error
    if verified:
        verified.save()


def _refuse_others(directory: Path, folder: str, known: Collection[str]) -> None:
    for place, folders, names in os.walk(directory / folder):
        here = Path(place)
        # A link to a folder is not walked into, but what reads the folder may follow it.
        links = [name for name in folders if (here / name).is_symlink()]
        for name in sorted((*names, *links)):
            if (here / name).relative_to(directory).as_posix() not in known:
                raise IntegrityError(
                    f"{here / name} is not in the pair's manifest: move it out of the pair"
                )


def _status(directory: Path, path: str) -> os.stat_result:
    """Return the status of a file of a pair. Refuse links, since their target can be replaced."""
    place = directory
    found = None
    for part in PurePosixPath(path).parts:
        place = place / part
        try:
            found = place.lstat()
        except OSError as error:
            raise IntegrityError(f"{directory / path} is missing: {_AGAIN}") from error
        if stat.S_ISLNK(found.st_mode):
            raise IntegrityError(f"{place} is a link, a pair's files must be its own: {_AGAIN}")
    if found is None or not stat.S_ISREG(found.st_mode):
        raise IntegrityError(f"{directory / path} is not a file: {_AGAIN}")
    return found


def _verify(directory: Path, file: PairFile, gguf: bool, verified: Verified | None) -> None:
    path = directory / file.path
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with BufferedReader(FileIO(handle), 1 << 20) as content:
        before = os.fstat(handle)
        record = verified.find(before) if verified else None
        if record is None or (gguf and not record.gguf):
            digest = hashlib.file_digest(content, "sha256").hexdigest()
            _compare(path, digest, file)
            if gguf:
                content.seek(0)
                check_gguf(content, before.st_size, str(path))
            _still(path, before, os.fstat(handle))
            if verified:
                verified.add(before, FileHash(digest, gguf))
        else:
            _compare(path, record.sha256, file)


def _compare(path: Path, digest: str, file: PairFile) -> None:
    if digest != file.sha256:
        raise IntegrityError(
            f"{path} was altered: its sha256 is {digest}, its manifest says {file.sha256}"
        )


def _still(path: Path, before: os.stat_result, after: os.stat_result) -> None:
    """Refuse a file that was written to while it was read."""
    if (after.st_size, after.st_mtime_ns, after.st_ctime_ns) != (
        before.st_size,
        before.st_mtime_ns,
        before.st_ctime_ns,
    ):
        raise IntegrityError(
            f"{path} is being modified by another program: try again when it has finished"
        )
