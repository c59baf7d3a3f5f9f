"""Record what a device sends, below gRPC, and decode it: HTTP/2 frames and their headers."""

import socket
import threading
from dataclasses import dataclass

from hpack import Decoder
from hyperframe.frame import ContinuationFrame, DataFrame, Frame, GoAwayFrame, HeadersFrame

from duet_tools.errors import BenchError
from duet_tools.link.frames import FrameReader
from duet_tools.link.relay import Relay

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# More than any peer announces: the table's size is the server's to limit.
_TABLE_BYTES = 1 << 20


@dataclass(frozen=True)
class SentRequest:
    """One request as it was on the wire."""

    headers: tuple[tuple[str, str], ...]
    """In their order; values of binary headers as Latin-1."""
    body: bytes
    """Payload of the data frames."""


class _Stream:
    def __init__(self) -> None:
        self.block, self.body = b"", b""
        self.headers: list[tuple[str, str]] = []


class ConnectionReader:
    """Decodes the bytes of one connection, from client to server, as they come."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        """Free text outside requests: debug data of GOAWAY frames."""
        self._preface = b""
        self._frames = FrameReader()
        self._headers = Decoder()
        self._headers.max_allowed_table_size = _TABLE_BYTES
        self._streams: dict[int, _Stream] = {}

    def feed(self, data: bytes) -> list[SentRequest]:
        """Decode further bytes; return the requests that they complete.

        Raises:
            BenchError: they are not HTTP/2.
        """
        missing = len(_PREFACE) - len(self._preface)
        self._preface += data[:missing]
        if not _PREFACE.startswith(self._preface):
            raise BenchError("the device's connection does not begin as HTTP/2")
        found = []
        for frame, payload, _ in self._frames.feed(data[missing:]):
            frame.parse_body(payload)
            if request := self._take(frame):
                found.append(request)
        return found

    def _take(self, frame: Frame) -> SentRequest | None:
        if isinstance(frame, GoAwayFrame):
            self.texts.append(frame.additional_data.decode("latin-1"))
        if not isinstance(frame, (HeadersFrame, ContinuationFrame, DataFrame)):
            return None
        stream = self._streams.setdefault(frame.stream_id, _Stream())
        if isinstance(frame, DataFrame):
            stream.body += frame.data
        else:
            stream.block += frame.data
            if "END_HEADERS" in frame.flags:
                decoded = self._headers.decode(stream.block, raw=True)
                stream.headers += [
                    (name.decode("latin-1"), value.decode("latin-1")) for name, value in decoded
                ]
                stream.block = b""
        if "END_STREAM" not in frame.flags:
            return None
        del self._streams[frame.stream_id]
        return SentRequest(tuple(stream.headers), stream.body)


class RequestRecorder(Relay):
    """A relay that decodes all that clients send through it in the clear."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self._recorded: dict[socket.socket, bytearray] = {}
        self._readers: dict[socket.socket, ConnectionReader] = {}
        self._recording = threading.Lock()

    def _forward(self, source: socket.socket, sink: socket.socket, way: str, data: bytes) -> None:
        if way == "up":
            with self._recording:
                self._recorded.setdefault(source, bytearray()).extend(data)
        super()._forward(source, sink, way, data)

    def taken(self) -> list[SentRequest]:
        """Return the requests since the last call, of all connections."""
        with self._recording:
            new = {source: bytes(data) for source, data in self._recorded.items() if data}
            for data in self._recorded.values():
                data.clear()
        return [
            request
            for source, data in new.items()
            for request in self._readers.setdefault(source, ConnectionReader()).feed(data)
        ]

    @property
    def texts(self) -> list[str]:
        """Free text outside requests, of all connections."""
        return [text for reader in self._readers.values() for text in reader.texts]
