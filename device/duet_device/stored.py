"""All that the device stores on this machine, for `duet-device status` and `purge`."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from duet_contract.directories import data_directory, state_directory
from duet_contract.errors import ContractError
from duet_contract.pairs import pairs_home, pairs_in
from duet_device.config import config_path
from duet_device.errors import DeviceError
from duet_device.home import HISTORY_NAME, home
from duet_device.vault.vault import VAULT_NAME, forget_key

# Files and directories by place. Other programs may use the same directories: `duet-cloud admin`
# keeps its authority in the data directory.
_IN_HOME = {
    "identities": "identities, keys encrypted",
    "enrollments": "unfinished enrollments",
    "publishers.json": "trusted publishers",
    "calibrations": "calibrations of pairs that were made here",
    HISTORY_NAME: "answers, encrypted",
    f"{HISTORY_NAME}-*": "answers, encrypted",
    VAULT_NAME: "how the vault's key is found",
    "serve.*": "the local server's key, socket and lock",
}
_IN_STATE = {
    "verified.json": "which files were verified",
    "threads.json": "measured numbers of threads",
}


@dataclass(frozen=True)
class StoredFile:
    """A file or directory that the device wrote."""

    path: Path
    """Where it is."""
    what: str
    """What it holds, in words."""

    @property
    def bytes(self) -> int:
        """Size of the files; links count as nothing."""
        files = [self.path, *self.path.rglob("*")] if self.path.is_dir() else [self.path]
        return sum(
            file.lstat().st_size for file in files if file.is_file() and not file.is_symlink()
        )

    def delete(self) -> None:
        """Delete it; of a link, the link alone.

        Raises:
            OSError: it cannot be deleted.
        """
        if self.path.is_dir() and not self.path.is_symlink():
            shutil.rmtree(self.path)
        else:
            self.path.unlink(missing_ok=True)


def everything() -> list[StoredFile]:
    """Return what there is, of every place that can be named."""
    found = []
    for place in (_settings, _home, _state, _pairs):
        try:
            found += list(place())
        except (ContractError, DeviceError):
            # Without a home directory, nothing was stored there.
            continue
    return found


def delete_all(stored: list[StoredFile]) -> None:
    """Delete what `everything` returned, the vault's key in the keyring, and emptied directories.

    Raises:
        OSError: something cannot be deleted.
    """
    forget_key()
    for each in stored:
        each.delete()
    for directory in {each.path.parent for each in stored}:
        if directory.is_dir() and not any(directory.iterdir()):
            directory.rmdir()


def _settings() -> Iterator[StoredFile]:
    yield from _there(config_path(), "settings")


def _home() -> Iterator[StoredFile]:
    for pattern, what in _IN_HOME.items():
        for path in sorted(home(create=False).glob(pattern)):
            yield from _there(path, what)


def _state() -> Iterator[StoredFile]:
    for name, what in _IN_STATE.items():
        yield from _there(state_directory() / name, what)
    yield from _there(data_directory() / "builder", "key of pairs that were built here")


def _pairs() -> Iterator[StoredFile]:
    root = pairs_home()
    for name, path in pairs_in(root).items():
        yield StoredFile(path, f"pair {name}")
    # Downloads, and what a deletion left; their names begin with a dot.
    for path in sorted(root.glob(".*")):
        yield StoredFile(path, "unfinished downloads")


def _there(path: Path, what: str) -> Iterator[StoredFile]:
    if path.exists() or path.is_symlink():
        yield StoredFile(path, what)
