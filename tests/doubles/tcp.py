"""A TCP server for the other end of a link: a function answers each of its connections."""

import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Handler = Callable[[socket.socket], None]

# The discard port: nothing listens there. A port that was free a moment ago may be another test's.
NOWHERE = "127.0.0.1:9"


@contextmanager
def serving(handler: Handler) -> Iterator[str]:
    """Address (HOST:PORT) of a server that gives each connection to `handler`, on its own thread.

    A connection is closed when its handler is done; one that breaks is not an error.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=run, args=(connection,), daemon=True).start()

        def run(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                handler(connection)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield "{}:{}".format(*listener.getsockname())
        finally:
            # Closing alone would leave the thread where it waits for the next connection.
            listener.shutdown(socket.SHUT_RDWR)


def echo(connection: socket.socket) -> None:
    """A handler: sends back what comes, as it comes."""
    while data := connection.recv(65536):
        connection.sendall(data)


def read_all(connection: socket.socket) -> bytes:
    """What comes until the other side is done."""
    parts = []
    while data := connection.recv(65536):
        parts.append(data)
    return b"".join(parts)


def quiet_port(host: str) -> int:
    """A free port that no other program gets by chance: below those that the kernel hands out."""
    while True:
        port = secrets.choice(range(20_000, 32_000))
        with suppress(OSError), socket.create_server((host, port)):
            return port
