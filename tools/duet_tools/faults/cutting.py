"""The TCP relay, cutting its first connection once: after so many bytes, or messages, of the server."""

import contextlib
import socket
from dataclasses import dataclass

from hyperframe.frame import DataFrame

from duet_tools.link.frames import FrameReader
from duet_tools.link.relay import Relay, reset_when_closed


class Frames:
    """Counts the DATA frames of a server's HTTP/2 connection; each of ours is one message."""

    def __init__(self) -> None:
        self._reader = FrameReader()
        self.count = 0
        """DATA frames that have passed whole."""

    def length_to(self, data: bytes, frames: int) -> int | None:
        """Return how many bytes of `data` there are up to the end of DATA frame `frames`.

        None, and all of `data` is counted, if it does not end there.
        """
        for frame, _, end in self._reader.feed(data):
            self.count += isinstance(frame, DataFrame)
            if isinstance(frame, DataFrame) and self.count == frames:
                return end
        return None


@dataclass(frozen=True)
class Cut:
    """When a connection is cut, and how."""

    bytes: int | None = None
    """Bytes of the server that pass before; None: no limit."""
    messages: int | None = None
    """Messages of the server that pass before; None: no limit."""
    reset: bool = False
    """Whether the client sees a reset in place of an end."""


class CuttingRelay(Relay):
    """A relay that cuts its first connection once, and passes everything else; None cuts nothing."""

    def __init__(self, target: str, cut: Cut | None = None) -> None:
        super().__init__(target)
        self._cutting = cut or Cut()
        self._bytes_left = self._cutting.bytes
        self.frames = Frames()
        """Messages that have passed on the first connection."""
        self.is_cut = False
        """Whether the cut has happened."""
        self._first: socket.socket | None = None

    def _forward(self, source: socket.socket, sink: socket.socket, way: str, data: bytes) -> None:
        if way == "down" and self._first in (None, source):
            self._first = source
            length = self._length_to_cut(data)
            if length is not None:
                super()._forward(source, sink, way, data[:length])
                self._cut(source, sink)
                return
        super()._forward(source, sink, way, data)

    def _length_to_cut(self, data: bytes) -> int | None:
        lengths = [self.frames.length_to(data, self._cutting.messages or 0)]
        if self._bytes_left is not None:
            lengths.append(self._bytes_left if self._bytes_left <= len(data) else None)
            self._bytes_left -= min(self._bytes_left, len(data))
        return min((each for each in lengths if each is not None), default=None)

    def _cut(self, source: socket.socket, sink: socket.socket) -> None:
        self.is_cut = True
        for end in (sink, source):
            with contextlib.suppress(OSError):
                if self._cutting.reset:
                    reset_when_closed(end)
                # Wakes the threads that read from it; the relay then closes both ends.
                end.shutdown(socket.SHUT_RD if self._cutting.reset else socket.SHUT_RDWR)
        raise ConnectionAbortedError("the relay cut the connection")
