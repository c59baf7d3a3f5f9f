"""Read the signal: evaluates each chunk as it arrives, so that the answer can start at once.

Whatever has arrived is evaluated together, in small batches, and the queue is checked between them;
the prompt's end joins the last batch. So the wait behind the last chunk does not grow with the
signal.
"""

import codecs
from collections.abc import Callable, Generator
from dataclasses import dataclass

from duet_contract.encodings import SignalReader, signal_reader
from duet_contract.errors import EncodingError
from duet_contract.manifest import Vocabulary
from duet_contract.v1.inference_pb2 import (
    FINISH_REASON_BUDGET,
    FINISH_REASON_END_OF_REASONING,
    SIGNAL_ENCODING_TEXT,
    SIGNAL_ENCODING_TOKEN_IDS,
    SignalChunk,
    SignalEnd,
)
from duet_device.decoder.llama import BATCH, Decoder
from duet_device.decoder.speculative_prefill import SpeculativePrefill
from duet_device.errors import CloudUnreachable, ModelProblem
from duet_device.events import Note, SignalText
from duet_device.link import Link

# Tokens evaluated between two looks at the queue.
_STEP = 16
# Seconds that a chunk waits for what may come right behind it, as the last message does behind the
# last chunk: two batches cost more than one, and there is nothing else to do.
_PATIENCE_S = 0.001


@dataclass(frozen=True)
class Signal:
    """A whole signal, already evaluated. Times are `time.perf_counter()` values."""

    text: str
    """Text for people to read."""
    ids: tuple[int, ...]
    """The decoder's tokens."""
    tokens: int
    """Tokens as the cloud counted them."""
    cut: bool
    """Whether the budget cut the signal short."""
    first_chunk: float | None = None
    """When the first chunk arrived; None if the signal is empty or stored."""
    last_chunk: float | None = None
    """When the last chunk arrived; None if the signal is empty or stored."""
    done: SignalEnd | None = None
    """The cloud's last message; None if the signal is stored."""
    done_at: float | None = None
    """When that message arrived."""


def read_signal(
    link: Link,
    decoder: Decoder,
    vocabulary: Vocabulary,
    suffix: list[int],
    reserve: Callable[[int], None],
    *,
    speculative_prefill: bool = False,
) -> Generator[Note | SignalText, None, Signal]:
    """Append the signal and the prompt's end to the decoder's sequence, as they arrive.

    Args:
        link: source of the signal; its deadline is checked between batches.
        decoder: has evaluated the prompt before the signal.
        vocabulary: the decoder's.
        suffix: the prompt's tokens after the signal.
        reserve: makes room for a prompt of so many tokens.
        speculative_prefill: predict the signal while waiting for it
            (`duet_device.decoder.speculative_prefill`).

    Yields:
        The signal's text as it arrives, and what the link notes.

    Returns:
        The whole signal.

    Raises:
        CloudUnreachable: the link broke, or something of the signal is missing or cannot be read.
            The sequence then holds a part of the signal.
        DeviceError: see `Link.next`.
    """
    reader = _ChunkReader(decoder, vocabulary, link.deadline.check)
    ahead = SpeculativePrefill(decoder) if speculative_prefill else SpeculativePrefill(decoder, 0)
    pending: list[int] = []
    done: SignalEnd | None = None
    done_at = 0.0
    while done is None or pending:
        patience = 0.0 if len(pending) >= _STEP else _PATIENCE_S
        while done is None:
            if pending:
                arrival = link.poll(patience)
            elif (arrival := link.poll(0)) is None:
                link.deadline.check()
                if ahead.guess():
                    continue
                arrival = link.next()
            if arrival is None:
                break
            if isinstance(arrival, Note):
                yield arrival
                continue
            if isinstance(arrival.message, SignalEnd):
                done, done_at = arrival.message, arrival.at
                ids, text = reader.finish(done)
            else:
                ids, text = reader.feed(arrival.message, arrival.at)
            if done is not None:
                ids = ids + suffix
            pending += ids if pending else ahead.arrive(ids, last=done is not None)
            if text:
                yield SignalText(text)
        if pending:
            link.deadline.check()
            size = _STEP if done is None else BATCH
            step, pending = pending[:size], pending[size:]
            try:
                reserve(len(decoder.ids) + len(step) + len(pending) + len(suffix) * (done is None))
            except ModelProblem as error:
                raise CloudUnreachable(f"the signal is too long: {error}") from error
            ahead.evaluate(step, want_next=not pending)
    return Signal(
        text="".join(reader.text),
        ids=tuple(reader.ids),
        tokens=done.signal_tokens,
        cut=done.finish_reason == FINISH_REASON_BUDGET,
        first_chunk=reader.first_chunk,
        last_chunk=reader.last_chunk,
        done=done,
        done_at=done_at,
    )


class _ChunkReader:
    """Turns chunks into tokens and text, and checks that none of the signal is missing."""

    def __init__(self, decoder: Decoder, vocabulary: Vocabulary, check: Callable[[], None]) -> None:
        self._decoder = decoder
        self._vocabulary = vocabulary
        self._check = check
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._reader: SignalReader | None = None
        self._encoding = SIGNAL_ENCODING_TEXT
        self._received = 0
        self.text: list[str] = []
        self.ids: list[int] = []
        self.first_chunk: float | None = None
        self.last_chunk: float | None = None

    def feed(self, chunk: SignalChunk, at: float) -> tuple[list[int], str]:
        """Return the decoder's tokens that a chunk completes, and its text."""
        if self._reader is None:
            self.first_chunk = at
            if chunk.WhichOneof("content") == "tokens":
                self._encoding = SIGNAL_ENCODING_TOKEN_IDS
            self._reader = signal_reader(
                self._encoding, self._decoder, self._vocabulary, self._check
            )
        self.last_chunk = at
        try:
            ids = self._reader.feed(chunk)
        except EncodingError as error:
            raise CloudUnreachable(f"the signal cannot be read: {error}") from error
        if self._encoding == SIGNAL_ENCODING_TOKEN_IDS:
            self._received += len(ids)
            spelled = b"".join(self._decoder.detokenize(i, special=True) for i in ids)
            return self._add(ids, self._utf8.decode(spelled))
        return self._add(ids, chunk.text)

    def finish(self, done: SignalEnd) -> tuple[list[int], str]:
        """Return what was held back; check what came against what the cloud says it sent."""
        if done.finish_reason not in (FINISH_REASON_END_OF_REASONING, FINISH_REASON_BUDGET):
            raise CloudUnreachable("the signal ended for a reason that this version does not know")
        if self._reader is None:
            if done.signal_tokens:
                raise CloudUnreachable(f"all {done.signal_tokens} tokens of the signal got lost")
            return [], ""
        if done.encoding != self._encoding:
            raise CloudUnreachable("the signal's chunks are not of the encoding that was agreed")
        if self._encoding == SIGNAL_ENCODING_TOKEN_IDS and self._received != done.signal_tokens:
            raise CloudUnreachable(
                f"the cloud sent {done.signal_tokens} signal tokens, {self._received} arrived"
            )
        try:
            ids = self._reader.finish()
        except EncodingError as error:
            raise CloudUnreachable(f"the signal cannot be read: {error}") from error
        return self._add(ids, self._utf8.decode(b"", True))

    def _add(self, ids: list[int], text: str) -> tuple[list[int], str]:
        self.ids += ids
        self.text.append(text)
        return ids, text
