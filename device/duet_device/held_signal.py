"""The signal that the device holds: each message is checked before any of it is kept.

It may come in several calls: after a cut, a call continues after what is held. Nothing here trusts
the cloud; whatever is against the contract raises `BrokenSignal`.
"""

import math
import uuid

from duet_contract.encodings import MOST_SIGNAL_BYTES_PER_TOKEN
from duet_contract.v1.inference_pb2 import (
    FINISH_REASON_BUDGET,
    FINISH_REASON_END_OF_REASONING,
    SIGNAL_ENCODING_TEXT,
    SIGNAL_ENCODING_TOKEN_IDS,
    ReasonRequest,
    SignalChunk,
    SignalEncoding,
    SignalEnd,
    TokenIds,
)
from duet_device.errors import BrokenSignal

# Odd, so that no two lengths get one seed; the golden ratio, as in splitmix64.
_SEED_STEP = 0x9E3779B97F4A7C15
_SEEDS = 2**63


class HeldSignal:
    """Collects one signal, and counts what arrives against its budget.

    Args:
        budget: most signal tokens; None where the caller does not know it.
        vocabulary: size of the decoder's vocabulary; None if the reader of the ids checks them.
        start: what the device held before, which counts against the budget.
    """

    def __init__(
        self, budget: int | None, vocabulary: int | None = None, start: SignalChunk | None = None
    ) -> None:
        self._budget = budget
        self._vocabulary = vocabulary
        self._encoding: SignalEncoding.ValueType | None = None
        self._ids: list[int] = []
        self._texts: list[str] = []
        self._bytes = 0
        if start:
            self.add(start)
        self._started = len(self._ids), len(self._texts)
        self.begin()

    def begin(self) -> None:
        """Begin a call, which continues after what is held."""
        self._before, self._texts_before = len(self._ids), len(self._texts)
        self._bytes_before = self._bytes

    def drop(self) -> bool:
        """Forget what the call brought; return whether that was anything."""
        brought = (self._before, self._texts_before) != (len(self._ids), len(self._texts))
        del self._ids[self._before :], self._texts[self._texts_before :]
        self._bytes = self._bytes_before
        if not self._ids and not self._texts:
            self._encoding = None
        return brought

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held but the start."""
        return self._started == (len(self._ids), len(self._texts))

    def after_start(self) -> SignalChunk:
        """Return what is held but for the start, as one chunk."""
        ids, texts = self._started
        return self._chunk(self._ids[ids:], self._texts[texts:])

    @property
    def is_full(self) -> bool:
        """Whether the signal is whole by its budget, so that only the last message is missing."""
        return self._budget is not None and len(self._ids) >= self._budget

    def prefix(self) -> SignalChunk:
        """Return what is held, as a request has it."""
        return self._chunk(self._ids, self._texts)

    def _chunk(self, ids: list[int], texts: list[str]) -> SignalChunk:
        if self._encoding == SIGNAL_ENCODING_TEXT:
            return SignalChunk(text="".join(texts))
        return SignalChunk(tokens=TokenIds(ids=ids))

    def request(self, first: ReasonRequest) -> ReasonRequest:
        """Return the request of the next call, with an id of its own.

        Args:
            first: the request that asks for the whole signal.
        """
        again = ReasonRequest()
        again.CopyFrom(first)
        again.request_id = uuid.uuid4().hex
        if self._encoding is not None:
            again.signal_prefix.CopyFrom(self.prefix())
            # Another server could offer another encoding, which what is held does not continue in.
            again.encodings[:] = [self._encoding]
            if first.HasField("seed"):
                # The same seed would draw for the rest what it drew for the start.
                held = len(self._ids) + self._bytes
                again.seed = (first.seed + held * _SEED_STEP) % _SEEDS
        return again

    def add(self, chunk: SignalChunk) -> None:
        """Check a chunk and hold it.

        Raises:
            BrokenSignal: it is empty, of another encoding, not of the vocabulary, or the signal is
                longer than its budget.
        """
        ids, text = chunk.tokens.ids, chunk.text
        if not ids and not text:
            raise BrokenSignal("the cloud sent an empty part of a signal")
        encoding = SIGNAL_ENCODING_TOKEN_IDS if ids else SIGNAL_ENCODING_TEXT
        if self._encoding not in (None, encoding):
            raise BrokenSignal("the signal's chunks are not of the encoding that was agreed")
        if ids and self._vocabulary is not None and max(ids) >= self._vocabulary:
            raise BrokenSignal(
                f"the cloud sent token id {max(ids)}, the vocabulary ends at {self._vocabulary - 1}"
            )
        size = len(text.encode("utf-8"))
        if self._budget is not None:
            if len(self._ids) + len(ids) > self._budget:
                raise BrokenSignal(
                    f"the cloud sent more than {self._budget} signal tokens, the budget"
                )
            most = self._budget * MOST_SIGNAL_BYTES_PER_TOKEN
            if self._bytes + size > most:
                raise BrokenSignal(
                    f"the cloud sent more than {most} bytes of text for a budget of "
                    f"{self._budget} tokens"
                )
        self._encoding = encoding
        self._ids += ids
        self._bytes += size
        if text:
            self._texts.append(text)

    def check_end(self, end: SignalEnd) -> None:
        """Check what the cloud says of its call, and of the whole signal.

        Raises:
            BrokenSignal: it contradicts the budget or what arrived, or is not known here.
        """
        if end.finish_reason not in (FINISH_REASON_END_OF_REASONING, FINISH_REASON_BUDGET):
            raise BrokenSignal("the signal ended for a reason that this version does not know")
        whole = end.prefix_tokens + end.signal_tokens
        if self._budget is not None and whole > self._budget:
            raise BrokenSignal(
                f"the cloud counts {whole} signal tokens, the budget is {self._budget}"
            )
        times = (end.queue_ms, end.prefill_ms, end.decode_ms)
        if not all(math.isfinite(each) and each >= 0 for each in times):
            raise BrokenSignal("the cloud sent times that are not milliseconds")
        odds = (end.least_log_probability, end.mean_log_probability)
        if not all(math.isfinite(each) and each <= 0 for each in odds):
            raise BrokenSignal("the cloud sent probabilities that are not logarithms")
        if self._encoding is None:
            if whole:
                raise BrokenSignal(f"all {whole} tokens of the signal got lost")
            return
        if end.encoding != self._encoding:
            raise BrokenSignal("the signal's chunks are not of the encoding that was agreed")
        if self._encoding == SIGNAL_ENCODING_TOKEN_IDS:
            arrived = len(self._ids) - self._before
            if end.signal_tokens != arrived:
                raise BrokenSignal(
                    f"the cloud sent {end.signal_tokens} signal tokens, {arrived} arrived"
                )
            continued = end.prefix_tokens == self._before
        else:
            if self._bytes > self._bytes_before and not end.signal_tokens:
                raise BrokenSignal("the cloud sent a signal and counts no tokens of it")
            continued = bool(end.prefix_tokens) == bool(self._bytes_before)
        if not continued:
            raise BrokenSignal("the cloud began the signal again: it cannot continue one")

    def end(self) -> SignalEnd:
        """Return the last message of a signal that `is_full`, which the cloud could not send."""
        return SignalEnd(
            finish_reason=FINISH_REASON_BUDGET,
            encoding=SIGNAL_ENCODING_TOKEN_IDS,
            signal_tokens=len(self._ids) - self._before,
            prefix_tokens=self._before,
        )
