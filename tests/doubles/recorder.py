"""Records every byte that a device sends to a cloud, below gRPC, before any encryption."""

import socket

from duet_tools.link.relay import Relay


class Recorder(Relay):
    """A relay to `target` (HOST:PORT) that keeps what goes up."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self._up = bytearray()

    @property
    def connections(self) -> int:
        """How many it took."""
        return self.count.connections

    def taken(self) -> bytes:
        """What went up since the last call."""
        up = bytes(self._up)
        del self._up[: len(up)]
        return up

    def _forward(self, source: socket.socket, sink: socket.socket, way: str, data: bytes) -> None:
        if way == "up":
            self._up += data
        super()._forward(source, sink, way, data)
