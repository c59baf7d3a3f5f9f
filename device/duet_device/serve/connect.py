"""Ask the local server, where one runs. Imports nothing that is slow."""

import json
import os
import socket
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from duet_contract.private_files import is_private
from duet_device.ask_request import AskRequest
from duet_device.deadline import Deadline
from duet_device.errors import ModelProblem, VaultError
from duet_device.events import AskEvent, Result
from duet_device.home import home
from duet_device.serve.files import SOCKET_NAME, same_user
from duet_device.serve.messages import EventReader, Message, encode, opening

# Seconds for the server to accept; it only looks at the request.
_ACCEPT_S = 2.0
# Seconds that the server may take beyond the deadline to report it.
_GRACE_S = 2.0


def connect(
    request: AskRequest, deadline: Deadline, note: Callable[[str], None]
) -> Generator[AskEvent] | None:
    """Send a request to the local server.

    Args:
        request: what to answer.
        deadline: of the question.
        note: given one line if there is a server that must not be used.

    Returns:
        The events of `duet_device.asking.Asking.events`, and closing them stops the question; None
        if no server runs, or it declines, as one does that has another environment, is of another
        version, or would have to ask for a passphrase.
    """
    try:
        path = home(create=False) / SOCKET_NAME
        if not path.is_socket():
            return None
        if not is_private(path):
            note(
                f"the local server is not used, since others than you may write {path.parent}: "
                f"chmod go-w {path.parent}"
            )
            return None
    except (OSError, VaultError):
        return None
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(_ACCEPT_S)
        connection.connect(os.fsencode(path))
        if not same_user(connection):
            connection.close()
            return None
        lines = _lines(connection)
        first = opening(_from_anywhere(request), deadline.elapsed_ms() / 1e3, deadline.seconds)
        connection.sendall(encode(first))
        accepted = "accept" in next(lines, {})
    except (OSError, ValueError):
        # No server listens, or it is not of this version.
        accepted = False
    except BaseException:
        connection.close()
        raise
    if not accepted:
        connection.close()
        return None
    return _events(connection, lines, deadline)


def _from_anywhere(request: AskRequest) -> AskRequest:
    """Return a request that means the same in another working directory."""
    if request.pair and os.path.isdir(request.pair):  # noqa: PTH112 (False for too long a name)
        return replace(request, pair=str(Path(request.pair).absolute()))
    return request


def _events(
    connection: socket.socket, lines: Iterator[Message], deadline: Deadline
) -> Generator[AskEvent]:
    reader = EventReader()
    answered = False
    with closing(connection):
        try:
            connection.settimeout(max(0.0, deadline.remaining()) + _GRACE_S)
            for message in lines:
                if "end" in message:
                    return
                event = reader.read(message)
                yield event
                if isinstance(event, Result):
                    answered = True
                    connection.sendall(encode({"delivered": True}))
                if not answered:
                    deadline.check()
        except (OSError, ValueError):
            deadline.check()
        deadline.check()
        raise ModelProblem("the local server stopped before the answer was complete: ask again")


def _lines(connection: socket.socket) -> Iterator[Message]:
    received = b""
    while data := connection.recv(1 << 16):
        received += data
        *whole, received = received.split(b"\n")
        for line in whole:
            yield json.loads(line)
