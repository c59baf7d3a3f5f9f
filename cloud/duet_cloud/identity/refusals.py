"""Reports calls that identity, role or limits refuse: a counter, and bounded log lines."""

import time
from collections.abc import Callable

from prometheus_client import Counter

from duet_cloud import logs
from duet_cloud.identity.callers import peer_network
from duet_cloud.log_limit import LogLimit
from duet_cloud.status import Refusal


class Refusals:
    """Counts each refusal; logs each reason once a minute for each device.

    Each port has its own, so that refusals at one use up no lines of the other.
    """

    def __init__(
        self,
        counter: Counter,
        clock: Callable[[], float] = time.monotonic,
        event: str = "refused",
    ) -> None:
        self._counter = counter
        self._event = event
        self._limit = LogLimit(clock=clock)

    def report(self, refusal: Refusal, method: str, peer: str = "") -> None:
        """Report a refused call.

        Args:
            refusal: why it was refused.
            method: `/SERVICE/METHOD`.
            peer: of callers without an identity, the address as gRPC names it.
        """
        self._counter.labels(refusal.reason).inc()
        more = self._limit.admit(
            refusal.reason, refusal.device or (peer_network(peer) if peer else "")
        )
        if more is None:
            return
        who = {"peer": peer, "message": str(refusal)} if peer else {"device": refusal.device}
        logs.get().warning(self._event, reason=refusal.reason, method=method, **who, **more)
