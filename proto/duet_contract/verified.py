"""Remember which files were hashed, so that an unchanged file is not hashed again.

A file is unchanged if device, inode, size, modification and change time are those of when it was
hashed. The change time (`st_ctime`) moves with every write, rename or change of attributes, and no
program can set it back, so a file that was altered and given its old size and modification time
is hashed again.
"""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from duet_contract.directories import state_directory
from duet_contract.errors import NoDirectoryError
from duet_contract.json_data import parse_json
from duet_contract.private_files import is_private, write_private

# A file changed a moment ago may change again within the same tick of its file system's clock.
_SETTLED_NS = 2_000_000_000
_MOST_RECORDS = 4096


@dataclass(frozen=True)
class FileHash:
    """The result of hashing a file."""

    sha256: str
    """SHA-256 of the content, in hexadecimal digits."""
    gguf: bool
    """Whether the file was checked to be a well-formed GGUF."""


class Verified:
    """The record of one user, private to that user; a record that others may write is ignored.

    Args:
        path: its file; in the user's state directory, if None. Where there is no home directory,
            nothing is remembered.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or _default()
        self._new: dict[str, FileHash] = {}
        self._held = self._load()

    def find(self, found: os.stat_result) -> FileHash | None:
        """Return what is known of a file that is now as `found`."""
        return self._held.get(_key(found))

    def add(self, found: os.stat_result, record: FileHash) -> None:
        """Remember a file that was hashed while it was as `found`, if that is long enough ago."""
        if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > _SETTLED_NS:
            self._new[_key(found)] = record

    def save(self) -> None:
        """Write what was added. Where it cannot be written, files are hashed again next time."""
        if not (self._new and self._path):
            return
        records = {**self._load(), **self._new}
        latest = list(records.items())[-_MOST_RECORDS:]
        content = json.dumps({key: [value.sha256, value.gguf] for key, value in latest})
        try:
            write_private(self._path, content.encode("utf-8"))
        except OSError:
            return
        self._held, self._new = records, {}

    def _load(self) -> dict[str, FileHash]:
        try:
            if not (self._path and is_private(self._path)):
                return {}
            content = parse_json(self._path.read_bytes())
            return {
                str(key): FileHash(str(sha), gguf is True) for key, (sha, gguf) in content.items()
            }
        except (OSError, ValueError, TypeError, AttributeError):
            return {}


def _default() -> Path | None:
    try:
        return state_directory() / "verified.json"
    except NoDirectoryError:
        return None


def _key(found: os.stat_result) -> str:
    """Everything that must be as it was; a changed file simply has another key."""
    times = f"{found.st_mtime_ns}:{found.st_ctime_ns}"
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{times}"
