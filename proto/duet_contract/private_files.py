"""Files for their owner alone: keys, and records that decide what is trusted."""

import os
import time
from contextlib import suppress
from pathlib import Path

from duet_contract.errors import KeyProblem

# Seconds after which no process still writes a scratch file.
_STALE_S = 60.0


def make_private(directory: Path) -> None:
    """Make a directory, and those above it that are missing, for their owner alone.

    Raises:
        OSError: the directory cannot be created.
    """
    # mkdir's mode applies only to the last part; the umask decides about the parents.
    if not directory.is_dir():
        make_private(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)


def write_private(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 that appears whole or not at all; its directory is made 0700.

    Written by root, the file belongs to the directory's owner: a service that runs as another user
    reads what its administrator writes.

    Raises:
        OSError: it cannot be written; what was there before is untouched.
    """
    import tempfile  # Slow to import, for readers.

    make_private(path.parent)
    drop_scratch(path, _STALE_S)
    # mkstemp's files are their owner's alone from the start.
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if hasattr(os, "geteuid") and os.geteuid() == 0:
                owner = path.parent.stat()
                os.fchown(handle, owner.st_uid, owner.st_gid)
            file.flush()
            os.fsync(file.fileno())
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def open_locked(path: Path, flags: int = 0) -> int:
    """Open a file for one process at a time, made for its owner alone if it is missing.

    Args:
        path: the file.
        flags: of `os.open`, besides those for reading and writing.

    Returns:
        The descriptor; closing it, or the end of the process, ends the lock.

    Raises:
        BlockingIOError: another process holds the lock.
        OSError: it cannot be opened or locked.
    """
    import fcntl  # Windows, which has none, is refused in one line before.

    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(handle)
        raise
    return handle


def drop_scratch(path: Path, older_s: float = 0.0) -> None:
    """Delete scratch files that a killed process left next to `path`.

    Args:
        path: the file that was being written.
        older_s: least age in seconds of what is deleted.
    """
    import glob  # Slow to import, as tempfile is above.

    with suppress(OSError):
        for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
            if time.time() - left.stat().st_mtime >= older_s:
                left.unlink(missing_ok=True)


def is_private(path: Path) -> bool:
    """Return whether only this user (or root) could have written or replaced `path`."""
    # Unlike Path.resolve, this never fails: what a loop of links is, `stat` says.
    real = Path(os.path.realpath(path))
    for place in (path.parent, real, real.parent):
        found = place.stat()
        if found.st_uid not in (os.getuid(), 0) or found.st_mode & 0o022:
            return False
    return True


def read_private(path: Path) -> bytes:
    """Return the content of a file that no other user could have written.

    Raises:
        OSError: it cannot be read.
        KeyProblem: others may write it, or its directory.
    """
    if not is_private(path):
        raise KeyProblem(
            f"other users may write {path} or its directory: "
            f"chmod go-w {path.parent} {path}, and check that its content is yours"
        )
    return path.read_bytes()
