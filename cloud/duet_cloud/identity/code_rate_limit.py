"""Slows down whoever tries enrollment codes: few wrong ones a minute, from one place and in all."""

import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from urllib.parse import unquote

WINDOW_S = 60.0
MOST_A_PLACE = 5
MOST_IN_ALL = 60
# Places remembered; the one heard of longest ago goes first.
_MOST_PLACES = 4096


class Guesses:
    """Counts wrong codes; not persistent, as a restart gains an attacker nothing to speak of."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._all: deque[float] = deque()
        self._places: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, peer: str) -> float:
        """Seconds for which `peer` (as gRPC names it) may not try; 0: it may."""
        now = self._clock()
        place = self._places.get(place_of(peer), deque())
        return max(_wait(place, MOST_A_PLACE, now), _wait(self._all, MOST_IN_ALL, now), 0.0)

    def wrong(self, peer: str) -> None:
        """Counts a wrong code."""
        now = self._clock()
        name = place_of(peer)
        place = self._places.setdefault(name, deque())
        self._places.move_to_end(name)
        while len(self._places) > _MOST_PLACES:
            self._places.popitem(last=False)
        place.append(now)
        self._all.append(now)


def place_of(peer: str) -> str:
    """The address behind a peer's name: an IPv4 address, or the /64 that an IPv6 one is of."""
    kind, _, rest = unquote(peer).partition(":")
    host = rest.rsplit(":", 1)[0].strip("[]").split("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"{kind}:{host}"
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _wait(tries: deque[float], most: int, now: float) -> float:
    while tries and tries[0] <= now - WINDOW_S:
        tries.popleft()
    return tries[-most] + WINDOW_S - now if len(tries) >= most else 0.0
