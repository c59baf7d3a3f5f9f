"""Reports refused calls to the operator: a counter, and a bounded number of log lines."""

import time
from collections.abc import Callable
from typing import Any

from prometheus_client import Counter

from duet_cloud import logs
from duet_cloud.identity.callers import peer_network
from duet_cloud.status import Refusal

WINDOW_S = 60.0
# Lines in a window: a device that keeps calling must not fill the disk.
MOST_LINES = 60


class Refusals:
    """Counts each refusal; logs each reason once a minute for each device, 60 lines in all.

    Each port has its own, so that refusals at one use up no lines of the other.
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
        self._window_ends = 0.0
        self._logged: set[tuple[str, str]] = set()
        self._left_out = 0

    def report(self, refusal: Refusal, method: str, peer: str = "") -> None:
        """Report a refused call.

        Args:
            refusal: why it was refused.
            method: `/SERVICE/METHOD`.
            peer: of callers without an identity, the address as gRPC names it.
        """
        self._counter.labels(refusal.reason).inc()
        if (now := self._clock()) >= self._window_ends:
            self._window_ends = now + WINDOW_S
            self._logged.clear()
        key = refusal.reason, refusal.device or (peer_network(peer) if peer else "")
        if key in self._logged or len(self._logged) >= MOST_LINES:
            self._left_out += 1
            return
        self._logged.add(key)
        # How many were not logged since the last line.
        more: dict[str, Any] = {"left_out": self._left_out} if self._left_out else {}
        self._left_out = 0
        who = {"peer": peer, "message": str(refusal)} if peer else {"device": refusal.device}
        logs.get().warning(self._event, reason=refusal.reason, method=method, **who, **more)
