"""Receives the signal: evaluates each chunk as it arrives, so that the answer can start at once.

Whatever has arrived is evaluated together, in small batches, with a look at the queue between them;
the prompt's end joins the last batch. So the wait behind the last chunk does not grow with the
signal.
"""

import codecs
from collections.abc import Callable
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
from duet_device.decoder.speculative_prefill import Anticipation
from duet_device.errors import CloudUnreachable, ModelProblem
from duet_device.link import Link

# Tokens evaluated between two looks at the queue.
_STEP = 16
# How long, in seconds, a chunk waits for what may come right behind it, as the last message does
# behind the last chunk: two batches cost more than one, and nothing else is to be done.
_PATIENCE = 0.001


@dataclass(frozen=True)
class Signal:
    """A whole signal, already evaluated. Times are `time.perf_counter()` values.

    `text`: for people to read. `first_chunk`, `last_chunk`: when they arrived; None if the signal
    is empty. `done_at`: when the cloud's last message arrived; None where it came from history.
    `ids`: the decoder's tokens.
    """

    text: str
    first_chunk: float | None
    last_chunk: float | None
    done: SignalEnd
    done_at: float | None
    ids: tuple[int, ...]

    @property
    def cut(self) -> bool:
        """Whether the budget cut the signal short."""
        return self.done.finish_reason == FINISH_REASON_BUDGET


def receive_signal(
    link: Link,
    decoder: Decoder,
    vocabulary: Vocabulary,
    suffix: list[int],
    reserve: Callable[[int], None],
    check: Callable[[], None],
    show: Callable[[str], None],
    *,
    anticipate: bool = False,
) -> Signal:
    """Appends the signal and the prompt's end to the decoder's sequence, as they arrive.

    Args:
        link: brings the signal.
        decoder: has evaluated the prompt before the signal.
        vocabulary: the decoder's.
        suffix: the prompt's tokens behind the signal.
        reserve: makes room for a prompt of so many tokens.
        check: called between batches; what it raises ends the reception.
        show: given the signal's text as it arrives.
        anticipate: guess the signal ahead while waiting (`duet_device.decoder.speculative_prefill`).

    Raises:
        CloudUnreachable: the link broke, or something of the signal is missing or cannot be read.
            The sequence then holds a part of the signal.
        DeviceError: see `Link.next`.
    """
    reception = _Reception(decoder, vocabulary, show, check)
    ahead = Anticipation(decoder) if anticipate else Anticipation(decoder, 0)
    pending: list[int] = []
    done: SignalEnd | None = None
    done_at = 0.0
    while done is None or pending:
        patience = 0.0 if len(pending) >= _STEP else _PATIENCE
        while done is None:
            if pending:
                arrival = link.poll(patience)
            elif (arrival := link.poll(0)) is None:
                check()
                if ahead.guess():
                    continue
                arrival = link.next()
            if arrival is None:
                break
            if isinstance(arrival.message, SignalEnd):
                done, done_at = arrival.message, arrival.at
                ids = reception.finish(done)
            else:
                ids = reception.feed(arrival.message, arrival.at)
            reception.ids += ids
            if done is not None:
                ids = ids + suffix
            pending += ids if pending else ahead.arrive(ids, last=done is not None)
        if pending:
            check()
            size = _STEP if done is None else BATCH
            step, pending = pending[:size], pending[size:]
            try:
                reserve(len(decoder.ids) + len(step) + len(pending) + len(suffix) * (done is None))
            except ModelProblem as error:
                raise CloudUnreachable(f"the signal is too long: {error}") from error
            ahead.evaluate(step, want_next=not pending)
    return Signal(
        reception.text,
        reception.first_chunk,
        reception.last_chunk,
        done,
        done_at,
        tuple(reception.ids),
    )


class _Reception:
    """Reads chunks, and checks that none of the signal got lost."""

    def __init__(
        self,
        decoder: Decoder,
        vocabulary: Vocabulary,
        show: Callable[[str], None],
        check: Callable[[], None],
    ) -> None:
        self._decoder = decoder
        self._vocabulary = vocabulary
        self._show = show
        self._check = check
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._reader: SignalReader | None = None
        self._encoding = SIGNAL_ENCODING_TEXT
        self._received = 0
        self._text: list[str] = []
        self.ids: list[int] = []
        self.first_chunk: float | None = None
        self.last_chunk: float | None = None

    @property
    def text(self) -> str:
        return "".join(self._text)

    def feed(self, chunk: SignalChunk, at: float) -> list[int]:
        """The decoder's tokens that a chunk completes."""
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
            self._add(self._utf8.decode(spelled))
        else:
            self._add(chunk.text)
        return ids

    def finish(self, done: SignalEnd) -> list[int]:
        """The tokens held back; checks what came against what the cloud says it sent."""
        if done.finish_reason not in (FINISH_REASON_END_OF_REASONING, FINISH_REASON_BUDGET):
            raise CloudUnreachable("the signal ended for a reason that this version does not know")
        if self._reader is None:
            if done.signal_tokens:
                raise CloudUnreachable(f"all {done.signal_tokens} tokens of the signal got lost")
            return []
        if done.encoding != self._encoding:
            raise CloudUnreachable("the signal's chunks are not of the encoding that was agreed")
        if self._encoding == SIGNAL_ENCODING_TOKEN_IDS and self._received != done.signal_tokens:
            raise CloudUnreachable(
                f"the cloud sent {done.signal_tokens} signal tokens, {self._received} arrived"
            )
        self._add(self._utf8.decode(b"", True))
        try:
            return self._reader.finish()
        except EncodingError as error:
            raise CloudUnreachable(f"the signal cannot be read: {error}") from error

    def _add(self, text: str) -> None:
        if text:
            self._text.append(text)
            self._show(text)
