"""Which server is asked next, and when: decided by what happened, for one question.

| what happened | while nothing of the signal is held | once a part of it is held |
|---|---|---|
| no connection | another server | again, and others, more and more rarely |
| the link broke | the same server again, then another | the same server, then others |
| the server failed | another server | the same server, then others |
| at capacity, stopping, loading | another server; this one again after its delay | the same, as often as it takes |
| refused, or against the contract | another server | another server |

No server is asked again once it lost three calls without a token in between, so that a question
that breaks servers does not break all of them.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from duet_device.errors import CloudBusy, CloudUnreachable, DeviceError, SignalLate, saying
from duet_device.link_errors import Failure, Kind
from duet_device.servers import Server

_MOST_LOST = 3
_MOST_AT_FIRST = 2
_FIRST_BACKOFF_S, _MOST_BACKOFF_S = 0.1, 2.0
# A call that lasted longer than this does not count as one of several failures in quick succession.
_QUICK_S = 1.0
# Longest delay of a server that is stopping or starting, in seconds; another one means that no one
# should wait for it.
_MOST_UNAVAILABLE_S = 5.0
# Devices that were refused together must not come again together.
_JITTER = 0.25


@dataclass(frozen=True)
class Next:
    """What to do next."""

    wait: float
    """Seconds to wait before."""
    servers: tuple[Server, ...]
    """Whom to connect to, the preferred one first."""


@dataclass
class _State:
    """What happened to the calls at one server."""

    out: bool = False
    """Whether the server gets no further call for this question."""
    tries: int = 0
    """Number of failed calls."""
    lost: int = 0
    """Failed calls in a row since a part of the signal last arrived."""
    quick: int = 0
    """Calls in a row that failed quickly."""
    not_before: float = 0.0
    """Time of the earliest next call, on a steady clock in seconds."""
    error: DeviceError | None = None
    """Error of the last call; None: no call failed."""


class Retries:
    """The servers of one question, and what happened to its calls there.

    Args:
        servers: at least one, the preferred one first.
        jitter: returns a random number from 0 to 1.
    """

    def __init__(
        self, servers: Sequence[Server], jitter: Callable[[], float] = random.random
    ) -> None:
        self._states = {server: _State() for server in servers}
        self._jitter = jitter
        self._last: Server | None = None
        self._is_wrong = False

    def progressed(self) -> None:
        """Note that a part of the signal arrived."""
        for state in self._states.values():
            state.lost = 0

    def failed(
        self, server: Server, failure: Failure, now: float, *, lasted: float, holds: bool
    ) -> None:
        """Note a failed call.

        Args:
            server: where it failed.
            failure: what happened.
            now: time on a steady clock, in seconds.
            lasted: seconds that the call ran.
            holds: whether a part of the signal is held.
        """
        state = self._states[server]
        state.error = failure.error
        state.tries += 1
        state.quick = state.quick + 1 if lasted < _QUICK_S else 1
        broke = failure.kind in (Kind.LOST, Kind.FAILED)
        wait = 0.0
        if broke and state.quick == 1:
            # A server that had the question has its prompt in a cache.
            self._last = server
        else:
            wait = min(_MOST_BACKOFF_S, _FIRST_BACKOFF_S * 2.0 ** (state.quick - 2))
        delay = _delay(failure)
        if delay is not None:
            wait = max(wait, delay)
        state.not_before = now + wait * (1 + _JITTER * self._jitter())
        if broke:
            state.lost += 1
        if holds:
            state.out = failure.kind in (Kind.REFUSED, Kind.WRONG) or state.lost >= _MOST_LOST
        else:
            again = failure.kind is Kind.LOST or delay is not None
            state.out = not again or state.tries >= _MOST_AT_FIRST
            self._is_wrong = self._is_wrong or failure.kind is Kind.WRONG

    def next(self, now: float, until: float) -> Next | None:
        """Return what to do next; None if nothing can help before `until`."""
        left = [server for server, state in self._states.items() if not state.out]
        if self._is_wrong or not left:
            return None
        earliest = max(now, min(self._states[server].not_before for server in left))
        if earliest >= until:
            return None
        servers = [server for server in left if self._states[server].not_before <= earliest]
        servers.sort(key=lambda server: server is not self._last)
        return Next(earliest - now, tuple(servers))

    def error(self) -> DeviceError:
        """Return the error of the question: of all servers', the one that says most.

        A server that is away could have served what another one refused, so that both are said.
        """
        errors = [state.error for state in self._states.values() if state.error]
        said = max(
            errors, key=_weight, default=SignalLate("no server was asked in time (--timeout)")
        )
        away = max((each for each in errors if _is_away(each)), key=_weight, default=None)
        if away is None or _is_away(said) or self._is_wrong:
            return said
        return saying(away, f"{away}; {said}")


def _delay(failure: Failure) -> float | None:
    """Return the delay that a server names, if it is one to wait for."""
    if failure.kind is Kind.BUSY:
        return failure.wait
    if failure.kind is Kind.UNAVAILABLE and failure.wait is not None:
        return failure.wait if failure.wait <= _MOST_UNAVAILABLE_S else None
    return None


def _is_away(error: DeviceError) -> bool:
    return isinstance(error, (CloudUnreachable, CloudBusy, SignalLate))


def _weight(error: DeviceError) -> int:
    if isinstance(error, CloudUnreachable):
        return 0
    return 1 if isinstance(error, CloudBusy) else 2
