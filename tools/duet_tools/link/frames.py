"""HTTP/2 frames of one direction of a connection, however its bytes arrive."""

from collections.abc import Iterator

from hyperframe.frame import Frame

_HEADER_BYTES = 9


class FrameReader:
    """Divides bytes into frames (RFC 9113, section 4.1); a client's preface is not one."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> Iterator[tuple[Frame, memoryview, int]]:
        """Yield each frame that `data` completes, its payload, and where in `data` it ends."""
        at = -len(self._held)
        self._held += data
        while len(self._held) >= _HEADER_BYTES:
            frame, length = Frame.parse_frame_header(memoryview(self._held[:_HEADER_BYTES]))
            end = _HEADER_BYTES + length
            if len(self._held) < end:
                return
            payload, self._held = memoryview(self._held[_HEADER_BYTES:end]), self._held[end:]
            at += end
            yield frame, payload, at
