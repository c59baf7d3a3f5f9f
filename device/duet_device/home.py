"""Find the directory of what the device stores: identities, keys, history."""

import os
from pathlib import Path

from duet_contract.directories import data_directory, expand
from duet_contract.errors import NoDirectoryError
from duet_contract.private_files import make_private
from duet_device.errors import VaultError

HOME_VARIABLE = "DUET_HOME"
HISTORY_NAME = "history.db"


def home(*, create: bool = True) -> Path:
    """`$DUET_HOME`, or the user's data directory; created on first use, for its owner alone.

    Raises:
        VaultError: it cannot be created, or neither is set and the user has no home directory.
    """
    named = os.environ.get(HOME_VARIABLE)
    try:
        directory = expand(named) if named else data_directory(HOME_VARIABLE)
    except NoDirectoryError as error:
        raise VaultError(str(error)) from error
    if create:
        try:
            make_private(directory)
        except OSError as error:
            raise VaultError(
                f"cannot make {directory}: {error.strerror}; set {HOME_VARIABLE} to another directory"
            ) from error
    return directory


def is_there(path: Path) -> bool:
    """Return whether there is such a file.

    Raises:
        VaultError: its directory cannot be read, or links lead in a circle.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise VaultError(
            f"cannot read {path}: {error.strerror}; set {HOME_VARIABLE} to another directory"
        ) from error
    return True
