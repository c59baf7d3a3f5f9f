"""Put a directory in another's place, so that there is always one of the two."""

import ctypes
import os
import shutil
import sys
from pathlib import Path

_AT_FDCWD = -100
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux and RENAME_SWAP of macOS


def put_in_place(new: Path, target: Path) -> None:
    """Move `new` to `target`; what was there is deleted.

    Where the system can exchange two names in one step, `target` exists at every moment. Elsewhere
    it is missing between two renames.

    Raises:
        OSError: it cannot be moved; what was there is still there.
    """
    if not target.exists() and not target.is_symlink():
        new.rename(target)
        return
    if _exchange(new, target):
        remove(new)
        return
    aside = target.with_name(f".{target.name}.old-{os.getpid()}")
    target.rename(aside)
    try:
        new.rename(target)
    except OSError:
        aside.rename(target)
        raise
    remove(aside)


def remove(path: Path) -> None:
    """Delete a directory, or a link without its target."""
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system or the file system cannot."""
    names = (os.fsencode(one), os.fsencode(other))
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            return bool(libc.renamex_np(*names, _EXCHANGE) == 0)
        first, second = names
        return bool(libc.renameat2(_AT_FDCWD, first, _AT_FDCWD, second, _EXCHANGE) == 0)
    except (AttributeError, OSError, TypeError):
        return False
