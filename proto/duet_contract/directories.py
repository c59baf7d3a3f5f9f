"""Find the user's directories, also for a user without a home directory.

A service account or a container often has no home directory. Then directories named by variables
are used, and only calls that need another directory fail.
"""

import os
import sys
from pathlib import Path

from duet_contract.errors import NoDirectoryError

# Where the XDG Base Directory Specification has them in a home directory.
_IN_HOME = {
    "cache": ".cache",
    "config": ".config",
    "data": ".local/share",
    "state": ".local/state",
}


def data_directory(variable: str = "XDG_DATA_HOME") -> Path:
    """Return the user's data directory for DUET: identities, keys, history.

    Args:
        variable: which one the error advises to set.

    Raises:
        NoDirectoryError: the user has no home directory.
    """
    return _directory("data", variable)


def config_directory(variable: str = "XDG_CONFIG_HOME") -> Path:
    """Return the user's configuration directory for DUET.

    Args:
        variable: which one the error advises to set.

    Raises:
        NoDirectoryError: the user has no home directory.
    """
    return _directory("config", variable)


def cache_directory(variable: str = "XDG_CACHE_HOME") -> Path:
    """Return the user's cache directory for DUET: pairs, unless `DUET_PAIRS` is set.

    Raises:
        NoDirectoryError: the user has no home directory.
    """
    return _directory("cache", variable)


def state_directory() -> Path:
    """Return the user's state directory for DUET: what can be computed again.

    Raises:
        NoDirectoryError: the user has no home directory.
    """
    return _directory("state", "XDG_STATE_HOME")


def expand(path: str) -> Path:
    """Return a path as a shell reads it: `~` and `~USER` at its start are home directories.

    Raises:
        NoDirectoryError: there is no such user, or the user has no home directory.

    Examples:
        >>> expand("/srv/pairs").as_posix()
        '/srv/pairs'
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        whose = path.split(os.sep, 1)[0]
        raise NoDirectoryError(
            f"{path}: there is no home directory {whose}; give a full path"
        ) from None


def _directory(kind: str, variable: str) -> Path:
    if sys.platform == "linux":
        named, home = os.environ.get(f"XDG_{kind.upper()}_HOME", ""), os.environ.get("HOME", "")
        if named.startswith("/"):
            return Path(named, "duet")
        if home.startswith("/"):
            return Path(home, _IN_HOME[kind], "duet")
    # Imported here: it takes a twelfth of the time of a question to a local server.
    import platformdirs

    try:
        found: Path = getattr(platformdirs, f"user_{kind}_path")("duet", appauthor=False)
    except RuntimeError:
        found = Path("~")
    # Without a home, older versions of platformdirs leave "~" in the path.
    if found.parts[:1] == ("~",):
        raise NoDirectoryError(
            f"this user has no home directory: set {variable} (or HOME) to a directory of your own"
        )
    return found
