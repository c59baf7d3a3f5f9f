"""A TCP relay that counts what passes: the bytes below gRPC and below HTTP.

Counts what TCP carries; TCP's and IP's own headers are not in it. Blocking sockets, two threads a
connection: passing a chunk costs little compared to what is measured; an event loop costs several
times as much.
"""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

from duet_contract.addresses import Address

_CHUNK = 1 << 16
_CONNECT_S = 10.0


@dataclass(frozen=True)
class Count:
    """What has passed since the start."""

    up: int = 0
    """Bytes from clients to the server."""
    down: int = 0
    """Bytes from the server to clients."""
    connections: int = 0
    """Number of connections."""

    def __sub__(self, earlier: "Count") -> "Count":
        return Count(
            self.up - earlier.up, self.down - earlier.down, self.connections - earlier.connections
        )


class Relay:
    """Listens on a free loopback port and passes everything on to a target, as a context manager.

    Args:
        target: HOST:PORT of the server.
        listener: a socket that listens already, which the relay closes; None: the loopback port.
    """

    def __init__(self, target: str, listener: socket.socket | None = None) -> None:
        address = Address.parse(target)
        self._target = (address.host, address.port)
        self._listener = listener or socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._count = Count()
        self._thread = threading.Thread(target=self._accept, name="relay", daemon=True)
        host, port = self._listener.getsockname()[:2]
        self.port = int(port)
        self.address = str(Address(host, self.port))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        _shut(self._listener, socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        with self._lock:
            for each in self._open:
                _shut(each, socket.SHUT_RDWR)

    @property
    def count(self) -> Count:
        """What has passed so far."""
        return self._count

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._add(connections=1)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._kept(client), contextlib.suppress(OSError):
            server = socket.create_connection(self._target, timeout=_CONNECT_S)
            server.settimeout(None)
            with self._kept(server):
                down = threading.Thread(
                    target=self._pass, args=(server, client, "down"), daemon=True
                )
                down.start()
                self._pass(client, server, "up")
                down.join()

    def _pass(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        gone = False
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                self._add(**{way: len(data)})
                try:
                    # Bytes sent to a client that has disconnected are counted as well.
                    if not gone:
                        self._forward(source, sink, way, data)
                except OSError:
                    gone = True
        _shut(sink, socket.SHUT_WR)

    def _forward(self, source: socket.socket, sink: socket.socket, way: str, data: bytes) -> None:
        """Send what came from `source`; `way` is `up` or `down`. An `OSError` ends the direction."""
        sink.sendall(data)

    @contextlib.contextmanager
    def _kept(self, end: socket.socket) -> Iterator[None]:
        """Close a socket at the end; the relay's own end reaches it before."""
        with end:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open.add(end)
            try:
                yield
            finally:
                with self._lock:
                    self._open.discard(end)

    def _add(self, up: int = 0, down: int = 0, connections: int = 0) -> None:
        with self._lock:
            now = self._count
            self._count = Count(now.up + up, now.down + down, now.connections + connections)


def _shut(end: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(how)


def reset_when_closed(end: socket.socket) -> None:
    """Make closing a socket send a reset instead of an end: SO_LINGER of 0 s."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def settled(count: Callable[[], Count], quiet_s: float = 0.2, within_s: float = 10.0) -> Count:
    """Return a count once it stays for a while: acknowledgements and goodbyes follow messages."""
    end, before = time.monotonic() + within_s, count()
    while time.monotonic() < end:
        time.sleep(quiet_s)
        now = count()
        if now == before:
            break
        before = now
    return before
