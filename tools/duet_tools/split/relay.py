"""A TCP relay that only counts: for links that nothing is asked of.

One thread and a selector, since it must not slow down what is measured: the emulator's clock costs
several times as much for each chunk.
"""

import contextlib
import selectors
import socket
import threading
from dataclasses import dataclass, field
from typing import Self

from duet_contract.addresses import Address

_CHUNK = 1 << 16
# Above this a side is not read from until the other one took what came.
_MOST_PENDING = 1 << 20


@dataclass
class _Side:
    """One socket of a connection. `up`: bytes from it go to the server. `pending`: to be sent."""

    socket: socket.socket
    up: bool
    other: "_Side" = field(init=False)
    pending: bytearray = field(default_factory=bytearray)
    ended: bool = False
    closed: bool = False


class Relay:
    """Listens on a free loopback port and passes everything on to `target` (host:port).

    Use as a context manager. `bytes_up`, `bytes_down`: from clients to the server, and back.
    """

    def __init__(self, target: str) -> None:
        address = Address.parse(target)
        self._target = (address.host, address.port)
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="bench-relay", daemon=True)
        self.bytes_up = self.bytes_down = 0
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._wake.close()
        self._thread.join()

    def _run(self) -> None:
        while True:
            for key, events in self._selector.select():
                if key.fileobj is self._woken:
                    self._end()
                    return
                if key.fileobj is self._listener:
                    self._accept()
                    continue
                side: _Side = key.data
                if events & selectors.EVENT_WRITE and not side.closed:
                    self._send(side)
                if events & selectors.EVENT_READ and not side.closed:
                    self._receive(side)

    def _accept(self) -> None:
        try:
            near, _ = self._listener.accept()
        except OSError:
            return
        try:
            far = socket.create_connection(self._target, timeout=10)
        except OSError:
            near.close()
            return
        device, server = _Side(near, up=True), _Side(far, up=False)
        device.other, server.other = server, device
        for side in (device, server):
            side.socket.setblocking(False)
            side.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(side.socket, selectors.EVENT_READ, side)

    def _receive(self, side: _Side) -> None:
        try:
            data = side.socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self._gone(side)
            return
        if side.up:
            self.bytes_up += len(data)
        else:
            self.bytes_down += len(data)
        side.ended = not data
        if side.other.closed:
            # Nobody is there to have it; what the other one says last is counted all the same.
            if side.ended:
                self._close(side)
            return
        side.other.pending += data
        self._send(side.other)

    def _send(self, side: _Side) -> None:
        """Sends what came from the other side; passes its end on once all is sent."""
        try:
            if side.pending:
                sent = side.socket.send(side.pending)
                del side.pending[:sent]
            if side.other.ended and not side.pending:
                side.socket.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError:
            self._gone(side)
            return
        if side.ended and side.other.ended and not side.pending and not side.other.pending:
            self._close(side)
            self._close(side.other)
            return
        self._watch(side)
        self._watch(side.other)

    def _watch(self, side: _Side) -> None:
        if side.closed:
            return
        reads = not side.ended and len(side.other.pending) < _MOST_PENDING
        events = selectors.EVENT_READ * reads | selectors.EVENT_WRITE * bool(side.pending)
        known = self._selector.get_map().get(side.socket)
        if known and events:
            if known.events != events:
                self._selector.modify(side.socket, events, side)
        elif known:
            self._selector.unregister(side.socket)
        elif events:
            self._selector.register(side.socket, events, side)

    def _gone(self, side: _Side) -> None:
        """One side is gone without a word: the other is told that no more comes."""
        self._close(side)
        other = side.other
        if other.closed:
            return
        if other.ended:
            self._close(other)
            return
        other.pending.clear()
        with contextlib.suppress(OSError):
            other.socket.shutdown(socket.SHUT_WR)
        self._watch(other)

    def _close(self, side: _Side) -> None:
        if not side.closed:
            side.closed = True
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(side.socket)
            side.socket.close()

    def _end(self) -> None:
        for key in list(self._selector.get_map().values()):
            if isinstance(key.data, _Side):
                key.data.socket.close()
        self._selector.close()
        self._listener.close()
        self._woken.close()
