"""Tells the operator which calls are refused: a counter, and log lines that stay few."""

import time
from collections.abc import Callable
from typing import Any

from prometheus_client import Counter

from duet_cloud import logs
from duet_cloud.identity.code_rate_limit import place_of
from duet_cloud.status import Refusal

WINDOW_S = 60.0
# Lines in a window: a device that knocks on and on must not fill the disk.
MOST_LINES = 60


class Refusals:
    """Counts each refusal; logs each reason once a minute for each device, 60 lines in all.

    One for each port: strangers who knock at one take no lines from the other.
    """

    def __init__(
        self,
        counter: Counter,
        clock: Callable[[], float] = time.monotonic,
        event: str = "refused",
    ) -> None:
        self._counter = counter
        self._clock = clock
        self._event = event
        self._ends = 0.0
        self._told: set[tuple[str, str]] = set()
        self._left_out = 0

    def tell(self, refusal: Refusal, method: str, peer: str = "") -> None:
        """Tells of a call of `method` that was refused.

        `peer`: where it came from, of callers without an identity; `place_of` is told apart.
        """
        self._counter.labels(refusal.reason).inc()
        if (now := self._clock()) >= self._ends:
            self._ends = now + WINDOW_S
            self._told.clear()
        key = refusal.reason, refusal.device or (place_of(peer) if peer else "")
        if key in self._told or len(self._told) >= MOST_LINES:
            self._left_out += 1
            return
        self._told.add(key)
        # How many were not logged since the last line.
        more: dict[str, Any] = {"left_out": self._left_out} if self._left_out else {}
        self._left_out = 0
        who = {"peer": peer, "message": str(refusal)} if peer else {"device": refusal.device}
        logs.get().warning(self._event, reason=refusal.reason, method=method, **who, **more)
