"""The files of a local server in the device's home: socket, lock, token."""

import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from duet_contract.private_files import is_private, write_private
from duet_device.errors import UsageProblem, VaultError
from duet_device.home import HOME_VARIABLE, home

SOCKET_NAME = "serve.sock"
LOCK_NAME = "serve.lock"
TOKEN_NAME = "serve.token"  # noqa: S105 (a name)
# macOS holds the fewest: 104 bytes with a zero at the end.
_MOST_SOCKET_BYTES = 103


def check_owner(path: Path) -> None:
    """Refuse a file that another user could have put or modified.

    Raises:
        UsageProblem: others may write it or its directory.
        OSError: it cannot be looked at.
    """
    if not is_private(path):
        raise UsageProblem(
            f"other users may write {path} or its directory: "
            f"chmod go-w {path.parent} {path}, and start duet-device serve again"
        )


def same_user(connection: socket.socket) -> bool:
    """Return whether the process at the other end is this user's.

    Where the system does not say (macOS), the modes of the socket and its directory decide.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    size = struct.calcsize("3i")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return int(struct.unpack("3i", credentials)[1]) == os.getuid()


@contextmanager
def locked() -> Iterator[None]:
    """Hold the lock of the device's only local server.

    Raises:
        UsageProblem: another server holds it, or it cannot be made.
        VaultError: the device's home cannot be used.
    """
    path = home() / LOCK_NAME
    with _usable(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if holder := _holder(handle):
            raise UsageProblem(
                f"a local server of {path.parent} is running already (process {holder}): "
                f"use it, or stop it with: kill {holder}"
            )
        with _usable(path):
            os.ftruncate(handle, 0)
            os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)


def running() -> str | None:
    """Return the process of the device's local server; None if there is no server."""
    try:
        handle = os.open(home(create=False) / LOCK_NAME, os.O_RDWR)
    except (OSError, VaultError):
        return None
    try:
        return _holder(handle)
    finally:
        os.close(handle)


def _holder(handle: int) -> str | None:
    """Return the process that holds the lock; None if this process has taken it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(handle, 32).decode("ascii", "replace").strip() or "unknown"
    return None


@contextmanager
def _usable(path: Path) -> Iterator[None]:
    """Report what the system says of a file of the server's.

    Raises:
        UsageProblem: it cannot be used.
    """
    try:
        yield
    except OSError as error:
        raise UsageProblem(
            f"cannot use {path}: {error.strerror}; set {HOME_VARIABLE} to another directory"
        ) from error


@contextmanager
def listening() -> Iterator[socket.socket]:
    """Listen on the socket of the device's home. Hold the lock: a socket that is there is stale.

    Raises:
        UsageProblem: the path is too long, others may write it, or no socket can be made there.
    """
    path = home() / SOCKET_NAME
    if len(os.fsencode(path)) > _MOST_SOCKET_BYTES:
        raise UsageProblem(
            f"the path {path} is too long for a socket: set DUET_HOME to a shorter one"
        )
    with socket.socket(socket.AF_UNIX) as listener:
        with _usable(path):
            path.unlink(missing_ok=True)
            before = os.umask(0o177)
            try:
                listener.bind(os.fsencode(path))
            finally:
                os.umask(before)
        try:
            check_owner(path)
            listener.listen(64)
            yield listener
        finally:
            path.unlink(missing_ok=True)


def token() -> str:
    """Return the token of the API; make one on first use.

    Raises:
        UsageProblem: others than the user may read it, it is malformed, or it cannot be used.
    """
    path = home() / TOKEN_NAME
    with _usable(path):
        return _token(path)


def _token(path: Path) -> str:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        import secrets

        made = secrets.token_urlsafe(32)
        write_private(path, made.encode() + b"\n")
        return made
    if mode & 0o077:
        raise UsageProblem(
            f"other users may read the token in {path}: delete the file for a new token, "
            f"or keep it with: chmod 600 {path}"
        )
    check_owner(path)
    found = path.read_text("ascii", "replace").strip()
    if len(found) < 16:
        raise UsageProblem(f"{path} holds no token: delete the file for a new one")
    return found
