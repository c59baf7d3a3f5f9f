"""Finds a pair by name or directory, the same way for every command."""

import os
from collections.abc import Sequence
from pathlib import Path

from platformdirs import user_cache_path

from duet_contract.errors import PairNotFoundError
from duet_contract.manifest import MANIFEST_NAME

DEFAULT_PAIR = "word-problems-135m"


def pairs_home() -> Path:
    """Where built and fetched pairs lie: `$DUET_PAIRS`, else `duet/pairs` in the user's cache."""
    configured = os.environ.get("DUET_PAIRS")
    return Path(configured).expanduser() if configured else user_cache_path("duet") / "pairs"


def find_pair(name_or_directory: str, also_in: Sequence[Path] = ()) -> Path:
    """The directory of a pair.

    A value with a path separator, or that is a directory holding a manifest, is a directory; any
    other is a name, looked up in `pairs_home()` and then in each of `also_in`.

    Raises:
        PairNotFoundError: naming the places that were searched and the pairs that are there.
    """
    direct = Path(name_or_directory).expanduser()
    if (direct / MANIFEST_NAME).is_file():
        return direct
    if os.sep in name_or_directory or name_or_directory in (".", "..", ""):
        raise PairNotFoundError(f"{name_or_directory!r} is no pair: it has no {MANIFEST_NAME}")
    roots = (pairs_home(), *also_in)
    for root in roots:
        if (root / name_or_directory / MANIFEST_NAME).is_file():
            return root / name_or_directory
    known = sorted({path.parent.name for root in roots for path in root.glob(f"*/{MANIFEST_NAME}")})
    raise PairNotFoundError(
        f"there is no pair {name_or_directory!r} in {', '.join(map(str, roots))}; "
        + (f"there are: {', '.join(known)}" if known else "there are none yet")
        + "; build one with: python -m cloud.pairs build NAME, or fetch one from a cloud with: "
        "duet-device pull"
    )
