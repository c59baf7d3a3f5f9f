"""Rate limiter of enrollment codes: few wrong codes a minute, from one address and in all.

Counts are not persistent, since a restart gains an attacker almost nothing.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence

from duet_cloud.identity.callers import peer_network

WINDOW_S = 60.0
MOST_PER_ADDRESS = 5
MOST_IN_ALL = 60


class CodeRateLimiter:
    """Counts wrong codes in any `WINDOW_S` seconds.

    Args:
        clock: seconds on a steady clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # When each wrong code came, and from where. No code is tried beyond the limit.
        self._wrong: deque[tuple[float, str]] = deque(maxlen=MOST_IN_ALL)

    def wait_s(self, peer: str) -> float:
        """Return the seconds until `peer` (as gRPC names it) may try a code; 0 if it may now."""
        now = self._clock()
        while self._wrong and self._wrong[0][0] <= now - WINDOW_S:
            self._wrong.popleft()
        network = peer_network(peer)
        own = [at for at, origin in self._wrong if origin == network]
        everyone = [at for at, _ in self._wrong]
        free = max(_free_at(own, MOST_PER_ADDRESS), _free_at(everyone, MOST_IN_ALL))
        return max(free - now, 0.0)

    def count_wrong(self, peer: str) -> None:
        """Count a wrong code that `peer` tried."""
        self._wrong.append((self._clock(), peer_network(peer)))


def _free_at(times: Sequence[float], most: int) -> float:
    return times[-most] + WINDOW_S if len(times) >= most else 0.0
