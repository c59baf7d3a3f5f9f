"""Where the device keeps what outlives a question: identities, keys, history."""

import os
from pathlib import Path

from platformdirs import user_data_path

HOME_VARIABLE = "DUET_HOME"
HISTORY_NAME = "history.db"


def home(*, create: bool = True) -> Path:
    """`$DUET_HOME`, or the user's data directory; created on first use, for its owner alone."""
    named = os.environ.get(HOME_VARIABLE)
    directory = Path(named).expanduser() if named else user_data_path("duet", appauthor=False)
    if create:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory
