"""Ask the local server, where one runs, or start one. Imports nothing that is slow."""

import json
import os
import socket
import sys
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from pathlib import Path

from duet_contract.private_files import is_private
from duet_device.ask_request import AskRequest
from duet_device.deadline import Deadline
from duet_device.errors import DeviceError, ModelProblem, VaultError
from duet_device.events import AskEvent, Result
from duet_device.home import home
from duet_device.serve.files import SOCKET_NAME, same_user
from duet_device.serve.messages import Batch, EventReader, Message, encode, opening, read_error

# Seconds for the server to accept; it only looks at the request.
_ACCEPT_S = 2.0
# Seconds that the server may take beyond the deadline to report it.
_GRACE_S = 2.0
# Sockets wait no longer at once than some weeks.
_MOST_WAIT_S = 7 * 86_400.0
_DELIVERED = encode({"delivered": True})

_Connection = tuple[socket.socket, Iterator[Message]]


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
    connection = _accepted(request, None, deadline, note)
    return connection and _events(connection, deadline)


def connect_all(
    request: AskRequest,
    questions: list[str],
    in_flight: int,
    deadline: Deadline,
    note: Callable[[str], None],
) -> Generator[tuple[int, AskEvent | DeviceError]] | None:
    """Send several questions to the local server, to be answered in their order.

    Args:
        request: options of the questions.
        questions: as typed.
        in_flight: most questions that were sent and are not answered.
        deadline: of all of them.
        note: given one line if there is a server that must not be used.

    Returns:
        The events of `duet_device.asking.Asking.all`; else as `connect`.
    """
    connection = _accepted(request, Batch(questions, in_flight), deadline, note)
    return connection and _all_events(connection, deadline)


def start_server(request: AskRequest, idle: float) -> None:
    """Start a server in the background, for requests such as this one.

    Of two that start at once, the second ends: the device has one server.

    Args:
        request: names the pair, the server and the threads.
        idle: seconds without a question after which it ends.
    """
    import subprocess

    command = [sys.executable, "-m", "duet_device", "serve", "--socket-only"]
    command += ["--idle", str(idle), "--server", request.server]
    command += ["--pair", request.pair] if request.pair else []
    command += ["--threads", str(request.threads)] if request.threads else []
    command += ["--allow-unsigned"] if request.allow_unsigned else []
    nothing = subprocess.DEVNULL
    subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)


def _accepted(
    request: AskRequest, batch: Batch | None, deadline: Deadline, note: Callable[[str], None]
) -> _Connection | None:
    """Return a connection to a server that accepted a request."""
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
        elapsed = deadline.elapsed_ms() / 1e3
        first = opening(_from_anywhere(request), elapsed, deadline.seconds, batch)
        connection.sendall(encode(first))
        accepted = "accept" in next(lines, {})
        connection.settimeout(min(_MOST_WAIT_S, max(0.0, deadline.remaining()) + _GRACE_S))
    except (OSError, ValueError):
        # No server listens, or it is not of this version.
        accepted = False
    except BaseException:
        connection.close()
        raise
    if not accepted:
        connection.close()
        return None
    return connection, lines


def _from_anywhere(request: AskRequest) -> AskRequest:
    """Return a request that means the same in another working directory."""
    if request.pair and os.path.isdir(request.pair):  # noqa: PTH112 (False for too long a name)
        return request._replace(pair=str(Path(request.pair).absolute()))
    return request


def _events(accepted: _Connection, deadline: Deadline) -> Generator[AskEvent]:
    reader = EventReader()
    answered = False
    with closing(_messages(accepted, deadline)) as messages:
        for message in messages:
            event = reader.read(message)
            yield event
            if isinstance(event, Result):
                answered = True
                _acknowledge(accepted[0])
            if not answered:
                deadline.check()


def _all_events(
    accepted: _Connection, deadline: Deadline
) -> Generator[tuple[int, AskEvent | DeviceError]]:
    readers: defaultdict[int, EventReader] = defaultdict(EventReader)
    with closing(_messages(accepted, deadline)) as messages:
        for message in messages:
            if "number" not in message:
                raise read_error(message)
            number = message.pop("number")
            if "error" in message:
                yield number, read_error(message)
                continue
            event = readers[number].read(message)
            yield number, event
            if isinstance(event, Result):
                _acknowledge(accepted[0])
            deadline.check()


def _acknowledge(connection: socket.socket) -> None:
    """Say that a result was delivered."""
    # Of a server that stopped, the next read says so.
    with suppress(OSError):
        connection.sendall(_DELIVERED)


def _messages(accepted: _Connection, deadline: Deadline) -> Generator[Message]:
    """Yield the messages after the acceptance up to the end, and close the connection then."""
    connection, lines = accepted
    with closing(connection):
        try:
            for message in lines:
                if "end" in message:
                    return
                yield message
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
