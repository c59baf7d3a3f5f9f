"""Limit the size of a signal: check each message before any of it is stored."""

import math

from duet_contract.encodings import MOST_SIGNAL_BYTES_PER_TOKEN
from duet_contract.v1.inference_pb2 import SignalChunk, SignalEnd
from duet_device.errors import CloudUnreachable


class SignalLimits:
    """Counts what arrives of one signal against its budget.

    Args:
        budget: most signal tokens; None where the caller does not know it.
    """

    def __init__(self, budget: int | None) -> None:
        self._budget = budget
        self._tokens = self._bytes = 0

    def check_chunk(self, chunk: SignalChunk) -> None:
        """Count a chunk.

        Raises:
            CloudUnreachable: it is empty, or the signal is longer than its budget.
        """
        tokens, size = len(chunk.tokens.ids), len(chunk.text.encode("utf-8"))
        if not tokens and not size:
            raise CloudUnreachable("the cloud sent an empty part of a signal")
        self._tokens += tokens
        self._bytes += size
        if self._budget is None:
            return
        if self._tokens > self._budget:
            raise CloudUnreachable(
                f"the cloud sent more than {self._budget} signal tokens, the budget"
            )
        most = self._budget * MOST_SIGNAL_BYTES_PER_TOKEN
        if self._bytes > most:
            raise CloudUnreachable(
                f"the cloud sent more than {most} bytes of text for a budget of {self._budget} "
                "tokens"
            )

    def check_done(self, done: SignalEnd) -> None:
        """Check what the cloud says of the whole signal.

        Raises:
            CloudUnreachable: it contradicts the budget or what arrived, or a time is not in milliseconds.
        """
        if self._budget is not None and done.signal_tokens > self._budget:
            raise CloudUnreachable(
                f"the cloud counts {done.signal_tokens} signal tokens, the budget is {self._budget}"
            )
        if self._bytes and not done.signal_tokens:
            raise CloudUnreachable("the cloud sent a signal and counts no tokens of it")
        times = (done.queue_ms, done.prefill_ms, done.decode_ms)
        if not all(math.isfinite(each) and each >= 0 for each in times):
            raise CloudUnreachable("the cloud sent times that are not milliseconds")
