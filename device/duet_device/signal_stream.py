"""Read the signal: evaluates each chunk as it arrives, so that the answer can start at once.

Whatever has arrived is evaluated together, in small batches, and the queue is checked between them;
the prompt's end joins the last batch. So the wait after the last chunk does not grow with the
signal. While the device waits, it looks ahead (`duet_device.decoder.lookahead`): an end without new
tokens costs nothing, and a signal that is enough is ended here.
"""

import codecs
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from duet_contract.encodings import SignalReader, TokenSignalReader, signal_reader
from duet_contract.errors import EncodingError
from duet_contract.v1.inference_pb2 import (
    FINISH_REASON_BUDGET,
    SIGNAL_ENCODING_TEXT,
    SIGNAL_ENCODING_TOKEN_IDS,
    SignalChunk,
    SignalEnd,
    TokenIds,
)
from duet_device.decoder.llama import BATCH
from duet_device.decoder.lookahead import DRAFT, Drafted, Lookahead
from duet_device.errors import (
    CloudRefused,
    CloudUnreachable,
    DeviceError,
    ModelProblem,
    PairMismatch,
    SignalLate,
)
from duet_device.events import Note, SignalText
from duet_device.exchange import Exchange
from duet_device.link import Arrival, Item, Link, Restart

# Tokens evaluated between two looks at the queue.
_STEP = 16
# Seconds that a chunk waits for what may come right after it, as the last message does after the
# last chunk: two batches cost more than one, and there is nothing else to do.
_PATIENCE_S = 0.001


@dataclass(frozen=True)
class Signal:
    """A signal, already evaluated. Times are `time.perf_counter()` values."""

    text: str
    """Text for people to read."""
    ids: tuple[int, ...]
    """The decoder's tokens."""
    tokens: int
    """Tokens as the cloud counted them; without its count, the decoder's."""
    cut: bool
    """Whether its end is missing: the budget cut it short, or the rest did not arrive."""
    missing: DeviceError | None = None
    """Why the rest did not arrive; None if the signal is whole."""
    first_chunk: float | None = None
    """When the first chunk arrived; None if the signal is empty or stored."""
    last_chunk: float | None = None
    """When the last chunk arrived; None if the signal is empty or stored."""
    done: SignalEnd | None = None
    """The cloud's last message; None if the signal is stored, or not whole."""
    done_at: float | None = None
    """When that message arrived."""
    enough: bool = False
    """Whether the device ended it, since it knew enough."""
    chunk: SignalChunk | None = None
    """All of it, as a request has it that continues it; None if it is empty or stored."""
    draft: tuple[Drafted, ...] = ()
    """The answer's first tokens (`Lookahead.draft`)."""

    @property
    def whole(self) -> bool:
        """Whether the reasoner ended it."""
        return not (self.cut or self.enough)


class StopRule(Protocol):
    """Decides whether a signal is enough."""

    def begin(self) -> None:
        """Forget the chunks before; a signal begins."""

    def __call__(self, draft: Sequence[Drafted]) -> bool:
        """Return whether the signal is enough, given a whole draft; at most once a chunk."""


def read_signal(
    exchange: Exchange,
    link: Link,
    *,
    enough: StopRule | None = None,
    accept_part: bool = False,
    start: Signal | None = None,
) -> Generator[Note | SignalText, None, Signal]:
    """Append the signal and the prompt's end to the decoder's sequence, as they arrive.

    Args:
        exchange: its decoder has evaluated the prompt before the signal.
        link: source of the signal; its deadline is checked between batches.
        enough: whether to end the signal here; None reads it to its end.
        accept_part: return the signal so far where the rest does not come.
        start: what this signal continues, which the decoder has evaluated.

    Yields:
        The signal's text as it arrives, and what the link notes.

    Returns:
        The signal.

    Raises:
        CloudUnreachable, CloudRefused, PairMismatch, SignalLate: there is no signal, or it is not
            whole and no part of it is accepted. The sequence then holds a part of the signal.
        DeviceError: see `Link.next`.
    """
    decoder, suffix = exchange.decoder, exchange.prompts.suffix
    before = list(decoder.ids)

    def begin() -> tuple[_ChunkReader, Lookahead]:
        if enough:
            enough.begin()
        return (
            _ChunkReader(exchange, start),
            Lookahead(decoder, suffix, exchange.ends, DRAFT if enough else 1),
        )

    reader, ahead = begin()
    pending: list[int] = []
    is_over = is_judged = False
    arrival: Item | _Enough | DeviceError | None
    while not is_over or pending:
        patience = 0.0 if len(pending) >= _STEP else _PATIENCE_S
        while not is_over:
            try:
                if pending:
                    if (arrival := link.poll(patience)) is None:
                        link.check_time()
                elif (arrival := link.poll(0)) is None:
                    link.deadline.check()
                    if reader.received and ahead.step(() if ahead.draft else reader.held):
                        continue
                    if enough and ahead.draft and ahead.is_whole and not is_judged:
                        is_judged = True
                        if enough(ahead.draft):
                            arrival = _end_here(link)
                    arrival = arrival or link.next()
            except (CloudUnreachable, CloudRefused, PairMismatch, SignalLate) as error:
                if not (accept_part and reader.received):
                    raise
                arrival = error
            if arrival is None:
                break
            if isinstance(arrival, Note):
                yield arrival
                continue
            if isinstance(arrival, Restart):
                decoder.become(before, link.deadline.check)
                reader, ahead = begin()
                pending = []
                continue
            ids, text = reader.take(arrival)
            is_judged = False
            if is_over := reader.is_over:
                ids = ids + suffix
            pending += ids if pending else ahead.arrive(ids, last=is_over)
            if text:
                yield SignalText(text)
        if pending:
            link.deadline.check()
            size = BATCH if is_over else _STEP
            step, pending = pending[:size], pending[size:]
            try:
                exchange.reserve(
                    len(decoder.ids) + len(step) + len(pending) + len(suffix) * (not is_over)
                )
            except ModelProblem as error:
                raise CloudUnreachable(f"the signal is too long: {error}") from error
            # Without a suffix, the answer follows the signal's last token.
            ahead.evaluate(step, want_next=not pending and (is_over or not suffix))
    if exchange.temperature:
        ahead.drop()
    return reader.signal(ahead.draft)


@dataclass(frozen=True)
class _Enough:
    """The device has ended the signal."""

    unread: tuple[Arrival, ...]
    """What had arrived by then and was not read."""


def _end_here(link: Link) -> Item | _Enough:
    """End the signal, unless something has arrived meanwhile: that is paid for, and read."""
    if (arrival := link.poll(0)) is not None:
        return arrival
    link.cancel()
    unread = []
    with suppress(DeviceError):  # Why the call ended does not matter any more.
        while (arrival := link.poll(0)) is not None:
            if isinstance(arrival, Arrival):
                unread.append(arrival)
    return _Enough(tuple(unread))


class _ChunkReader:
    """Turns what arrives into tokens and text."""

    def __init__(self, exchange: Exchange, start: Signal | None) -> None:
        self._decoder = exchange.decoder
        self._vocabulary = exchange.manifest.decoder.vocabulary
        self._check = exchange.deadline.check
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._reader: SignalReader | None = None
        self._text: list[str] = [start.text] if start else []
        self._ids: list[int] = list(start.ids) if start else []
        self._start = start.chunk if start else None
        self._unread = 0
        self._enough = False
        self._first_chunk: float | None = None
        self._last_chunk: float | None = None
        self._end: Arrival | None = None
        self._missing: DeviceError | None = None

    @property
    def received(self) -> bool:
        """Whether a part of the signal arrived."""
        return self._reader is not None

    @property
    def is_over(self) -> bool:
        """Whether nothing more follows."""
        return self._end is not None or self._missing is not None or self._enough

    @property
    def held(self) -> list[int]:
        """Tokens that have arrived, and may still change by what follows."""
        return self._reader.held() if self._reader else []

    def take(self, arrival: Arrival | _Enough | DeviceError) -> tuple[list[int], str]:
        """Return the decoder's tokens that an arrival completes, and its text.

        Args:
            arrival: a message, or why nothing more follows.

        Raises:
            CloudUnreachable: the chunk cannot be read.
        """
        try:
            if isinstance(arrival, DeviceError):
                self._missing = arrival
            elif isinstance(arrival, _Enough):
                self._enough = True
                self._unread = self._count(arrival.unread)
            elif isinstance(arrival.message, SignalChunk):
                return self._feed(arrival.message, arrival.at)
            else:
                self._end = arrival
            ids = self._reader.finish() if self._reader else []
            return self._add(ids, self._utf8.decode(b"", True))
        except EncodingError as error:
            raise CloudUnreachable(f"the signal cannot be read: {error}") from error

    def signal(self, draft: Sequence[Drafted]) -> Signal:
        """Return the signal, once nothing more follows.

        Args:
            draft: the answer's first tokens, if there are any.
        """
        end = self._end.message if self._end else None
        assert end is None or isinstance(end, SignalEnd)
        counted = end.prefix_tokens + end.signal_tokens if end else len(self._ids) + self._unread
        return Signal(
            text="".join(self._text),
            ids=tuple(self._ids),
            tokens=counted,
            cut=not self._enough and (end is None or end.finish_reason == FINISH_REASON_BUDGET),
            missing=self._missing,
            first_chunk=self._first_chunk,
            last_chunk=self._last_chunk,
            done=end,
            done_at=self._end.at if self._end else None,
            enough=self._enough,
            chunk=self._chunk(),
            draft=tuple(draft),
        )

    def _chunk(self) -> SignalChunk | None:
        if self._reader is None:
            return self._start
        if isinstance(self._reader, TokenSignalReader):
            return SignalChunk(tokens=TokenIds(ids=self._ids))
        return SignalChunk(text="".join(self._text))

    def _count(self, unread: Sequence[Arrival]) -> int:
        """Count the tokens of chunks that arrived and are not read."""
        chunks = [each.message for each in unread if isinstance(each.message, SignalChunk)]
        return sum(
            len(chunk.tokens.ids) or len(self._decoder.encode_text(chunk.text)) for chunk in chunks
        )

    def _feed(self, chunk: SignalChunk, at: float) -> tuple[list[int], str]:
        is_tokens = chunk.WhichOneof("content") == "tokens"
        if self._reader is None:
            self._first_chunk = at
            encoding = SIGNAL_ENCODING_TOKEN_IDS if is_tokens else SIGNAL_ENCODING_TEXT
            self._reader = signal_reader(encoding, self._decoder, self._vocabulary, self._check)
        self._last_chunk = at
        ids = self._reader.feed(chunk)
        if not is_tokens:
            return self._add(ids, chunk.text)
        spelled = b"".join(self._decoder.detokenize(i, special=True) for i in ids)
        return self._add(ids, self._utf8.decode(spelled))

    def _add(self, ids: list[int], text: str) -> tuple[list[int], str]:
        self._ids += ids
        self._text.append(text)
        return ids, text
