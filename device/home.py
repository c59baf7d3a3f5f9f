"""Where the device keeps what outlives a question: identities, keys, history."""

import os
from pathlib import Path

from platformdirs import user_data_path

from device.errors import VaultError
from duet_contract.private_files import make_private

HOME_VARIABLE = "DUET_HOME"
HISTORY_NAME = "history.db"


def home(*, create: bool = True) -> Path:
    """`$DUET_HOME`, or the user's data directory; created on first use, for its owner alone.

    Raises:
        VaultError: it cannot be created.
    """
    named = os.environ.get(HOME_VARIABLE)
    directory = Path(named).expanduser() if named else user_data_path("duet", appauthor=False)
    if create:
        try:
            make_private(directory)
        except OSError as error:
            raise VaultError(
                f"cannot make {directory}: {error.strerror}; ${HOME_VARIABLE} names another place"
            ) from error
    return directory
