"""Records every byte that a device sends to a cloud, below gRPC, before any encryption."""

import contextlib
import socket
import threading
from typing import Self


class Recorder:
    """Passes connections on to `target` (HOST:PORT) and keeps what goes up.

    `address`: where it listens. `connections`: how many it took. `taken`: gives what went up since
    it was called last.
    """

    def __init__(self, target: str) -> None:
        host, port = target.rsplit(":", 1)
        self._target = host, int(port)
        self._up = bytearray()
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def taken(self) -> bytes:
        up = bytes(self._up)
        del self._up[: len(up)]
        return up

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                device, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            cloud = socket.create_connection(self._target)
            for source, sink, kept in ((device, cloud, self._up), (cloud, device, None)):
                threading.Thread(target=_pass, args=(source, sink, kept), daemon=True).start()


def _pass(source: socket.socket, sink: socket.socket, kept: bytearray | None) -> None:
    try:
        while data := source.recv(65536):
            if kept is not None:
                kept += data
            sink.sendall(data)
    except OSError:
        pass
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
