"""Find a pair by name or directory, the same way for every command."""

import os
from pathlib import Path

from duet_contract.directories import cache_directory, expand
from duet_contract.errors import NoDirectoryError, PairNotFoundError
from duet_contract.manifest import MANIFEST_NAME

DEFAULT_PAIR = "private-sums-135m"
PAIRS_VARIABLE = "DUET_PAIRS"


def pairs_home() -> Path:
    """Return the directory of pairs: `$DUET_PAIRS`, else `duet/pairs` in the user's cache.

    Raises:
        NoDirectoryError: neither is set, and the user has no home directory.
    """
    configured = os.environ.get(PAIRS_VARIABLE)
    return expand(configured) if configured else cache_directory(PAIRS_VARIABLE) / "pairs"


def pairs_in(root: Path) -> dict[str, Path]:
    """Return the pairs of a directory, by name; none if there is no such directory.

    Hidden directories, such as unfinished downloads, do not count.

    Raises:
        PairNotFoundError: `root` is not a directory, or cannot be read.
    """
    try:
        names = sorted(path.name for path in root.iterdir())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise PairNotFoundError(
            f"cannot read the pairs in {root}: {error.strerror}; set {PAIRS_VARIABLE} to their "
            "directory"
        ) from error
    return {name: root / name for name in names if name[0] != "." and _is_pair(root / name)}


def find_pair(name_or_directory: str) -> Path:
    """Return the directory of a pair.

    A value with a path separator, or that is a directory holding a manifest, is a directory; any
    other is a name, looked up in `pairs_home()`.

    Raises:
        PairNotFoundError: names the directory that was searched and the pairs in it.
    """
    try:
        direct = expand(name_or_directory)
    except NoDirectoryError as error:
        raise PairNotFoundError(str(error)) from error
    if _is_pair(direct):
        return direct
    if os.sep in name_or_directory or name_or_directory in (".", "..", ""):
        raise PairNotFoundError(f"{name_or_directory!r} is not a pair: it has no {MANIFEST_NAME}")
    root = pairs_home()
    if _is_pair(root / name_or_directory):
        return root / name_or_directory
    known = sorted(pairs_in(root))
    raise PairNotFoundError(
        f"there is no pair {name_or_directory!r} in {root}; "
        + (f"there are: {', '.join(known)}" if known else "no pairs are installed")
        + "; build one with: duet-cloud pairs build NAME, or fetch one from a cloud with: "
        "duet-device pull"
    )


def _is_pair(directory: Path) -> bool:
    """Return whether there is a manifest; False if its directory cannot be read."""
    # Unlike Path.is_file, this is False for a name that is too long and a directory that is closed.
    return os.path.isfile(directory / MANIFEST_NAME)  # noqa: PTH113
