"""When signal tokens are sent: the first at once, later ones buffered, the last at once."""

from duet_contract.v1.inference_pb2 import (
    SIGNAL_ENCODING_TOKEN_IDS,
    SignalChunk,
    SignalEncoding,
    TokenIds,
)


class ChunkBuffer:
    """Buffers tokens into chunks of at most `max_tokens`, none held longer than `max_ms`.

    Whether a chunk is due is asked as tokens arrive, so a token waits at most `max_ms` plus one
    engine step. Times are seconds on any steady clock.
    """

    def __init__(self, encoding: SignalEncoding.ValueType, max_tokens: int, max_ms: float) -> None:
        self._encoding = encoding
        self._max_tokens = max_tokens
        self._max_s = max_ms / 1000
        self._ids: list[int] = []
        self._text = ""
        self._oldest: float | None = None
        self._first = True

    def add(self, ids: list[int], text: str, now: float) -> None:
        """Add an output of the engine."""
        if ids and self._oldest is None:
            self._oldest = now
        self._ids += ids
        self._text += text

    def due(self, now: float) -> bool:
        """Return whether what is buffered should be sent now."""
        if self._oldest is None or not self._content():
            return False
        return (
            self._first or len(self._ids) >= self._max_tokens or now - self._oldest >= self._max_s
        )

    def take(self) -> SignalChunk | None:
        """Return everything buffered as a chunk; None if there is nothing to send."""
        if not self._content():
            return None
        if self._encoding == SIGNAL_ENCODING_TOKEN_IDS:
            chunk = SignalChunk(tokens=TokenIds(ids=self._ids))
        else:
            chunk = SignalChunk(text=self._text)
        self._ids, self._text, self._oldest, self._first = [], "", None, False
        return chunk

    def _content(self) -> bool:
        # Text lags behind ids while a character's bytes are incomplete.
        return bool(self._ids if self._encoding == SIGNAL_ENCODING_TOKEN_IDS else self._text)
