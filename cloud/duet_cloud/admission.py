"""Admission: bounded running and waiting requests, shared among identities; refusal at once.

A free slot goes to the identity that has the fewest slots. When the queue is full, the identity
with the most requests loses its newest waiting one to an identity with fewer. So a device with many
connections gets one share, and a device that is alone gets all slots.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto

from duet_cloud.status import duplicate, exhausted, unavailable
from duet_contract.v1.control_pb2 import (
    SERVING_STATE_DRAINING,
    SERVING_STATE_FAILED,
    SERVING_STATE_LOADING,
    SERVING_STATE_READY,
    ServingState,
)

# Why no request is admitted, seconds until a retry (few, since another address may serve the device
# at once), and the reason for metrics.
_NOT_ADMITTED = {
    SERVING_STATE_LOADING: ("the service is loading its model", 5.0, "loading"),
    SERVING_STATE_DRAINING: ("the service is stopping", 2.0, "draining"),
    SERVING_STATE_FAILED: ("the service's engine has failed", 2.0, "failed"),
}
# Complete signals of one identity that it may always leave unread, however many others ask.
_MOST_UNREAD = 16


class _Phase(Enum):
    WAITING = auto()
    RUNNING = auto()
    SENDING = auto()
    """Its signal is complete, and its device still has to read the rest of it."""


@dataclass(eq=False)
class _Share:
    """What one identity holds."""

    used_s: float
    """Its virtual time: seconds in slots, from the service's virtual time when it came."""
    running: int = 0
    """Requests that generate."""
    sending: int = 0
    """Requests that only send."""
    waiting: "deque[RequestSlot]" = field(default_factory=deque)
    """Requests that wait, the oldest first."""

    @property
    def load(self) -> int:
        """Requests that generate or wait for that."""
        return self.running + len(self.waiting)


class RequestSlot:
    """The slot of one request: it waits for it, holds it, and gives it back."""

    def __init__(self, admission: "Admission", share: _Share) -> None:
        self._admission = admission
        self.share = share
        self.phase = _Phase.WAITING
        self.granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.since = 0.0

    def release(self) -> None:
        """Give the slot to the next request; the signal is complete, but not yet sent."""
        self._admission._release(self)


class Admission:
    """Counts requests in flight; at most `max_running` generate and `max_waiting` wait.

    Args:
        max_running: most requests that generate, until `open` says more.
        max_waiting: most requests that wait; None: a quarter of those that generate, so that waiting
            adds at most a quarter to the time of a request.
        clock: seconds on a steady clock.
    """

    def __init__(
        self,
        max_running: int,
        max_waiting: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.state: ServingState.ValueType = SERVING_STATE_LOADING
        self._clock = clock
        self._given_waiting = max_waiting
        self._set_limits(max_running)
        self.running = 0
        self.waiting = 0
        self._in_flight: set[str] = set()
        # Of identities with a request in flight.
        self._shares: dict[str, _Share] = {}
        # Start-time fair queueing: the virtual time of who got a slot last, and of those who left
        # ahead of it, so that leaving and coming again gains nothing.
        self._virtual_s = 0.0
        self._ahead: dict[str, float] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        # Smoothed seconds a request holds its slot; the retry delay of refused clients.
        self._holding_s = 1.0

    @property
    def why_not(self) -> str | None:
        """Why no request is admitted; None while they are."""
        return _NOT_ADMITTED.get(self.state, (None,))[0]

    def open(self, max_running: int) -> None:
        """Start admitting, `max_running` at a time; called when the engine is loaded."""
        self._set_limits(max_running)
        self.state = SERVING_STATE_READY

    def _set_limits(self, max_running: int) -> None:
        self.max_running = max_running
        given = self._given_waiting
        self.max_waiting = max(1, max_running // 4) if given is None else given

    def fail(self) -> None:
        """Stop admitting, because the engine failed; `open` starts again."""
        self.state = SERVING_STATE_FAILED

    @asynccontextmanager
    async def admit(self, request_id: str, identity: str = "") -> AsyncIterator[RequestSlot]:
        """Give a request a slot; wait for one while the queue has room.

        Args:
            request_id: unique among requests in flight.
            identity: whose share the request belongs to.

        Raises:
            Refusal: UNAVAILABLE while not ready, ALREADY_EXISTS for an id in flight,
                RESOURCE_EXHAUSTED when the limits, or the identity's share of them, are reached;
                that may also happen while the request waits.
        """
        if self.state != SERVING_STATE_READY:
            raise unavailable(*_NOT_ADMITTED[self.state])
        if request_id in self._in_flight:
            raise duplicate(request_id)
        slot = self._enter(identity)
        self._in_flight.add(request_id)
        self._idle.clear()
        try:
            await slot.granted
            yield slot
        finally:
            self._leave(slot, identity)
            self._in_flight.discard(request_id)
            if not self._in_flight:
                self._idle.set()

    async def drain(self, grace_s: float) -> bool:
        """Stop admitting, wait for running requests; return False if some remain after `grace_s`."""
        self.state = SERVING_STATE_DRAINING
        return await self.idle(grace_s)

    async def idle(self, within_s: float) -> bool:
        """Wait until no request is in flight; return False if some are after `within_s`."""
        try:
            await asyncio.wait_for(self._idle.wait(), within_s)
        except TimeoutError:
            return False
        return True

    def _enter(self, identity: str) -> RequestSlot:
        share = self._shares.get(identity)
        if share is None:
            share = _Share(max(self._virtual_s, self._ahead.get(identity, 0.0)))
        self._check_unread(share, len(self._shares.keys() | {identity}))
        slot = RequestSlot(self, share)
        if self.running < self.max_running:
            self._grant(slot)
        else:
            self._make_room(share)
            share.waiting.append(slot)
            self.waiting += 1
        self._shares[identity] = share
        return slot

    def _check_unread(self, share: _Share, identities: int) -> None:
        """Refuse a request of an identity that reads too little of its signals."""
        most = max(_MOST_UNREAD, (self.max_running + self.max_waiting) // identities)
        if share.sending >= most:
            raise exhausted(
                f"{share.sending} signals are complete and not read yet, the limit is {most}",
                self._holding_s,
                "unread",
            )

    def _make_room(self, share: _Share) -> None:
        """Make room in the queue for a request of an identity, or refuse it."""
        if self.waiting < self.max_waiting:
            return
        waiting = [one for one in self._shares.values() if one.waiting]
        most = max(waiting, key=lambda one: one.load, default=share)
        limits = f"the limits are {self.max_running} and {self.max_waiting}"
        if most.load <= share.load + 1:
            raise exhausted(
                f"{self.running} requests are running and {self.waiting} waiting, {limits}",
                self._holding_s,
                "queue",
            )
        dropped = most.waiting.pop()
        self.waiting -= 1
        if not dropped.granted.done():
            dropped.granted.set_exception(
                exhausted(
                    f"this device has more requests than others that wait, {limits}",
                    self._holding_s,
                    "queue",
                )
            )

    def _grant(self, slot: RequestSlot) -> None:
        slot.phase, slot.since = _Phase.RUNNING, self._clock()
        slot.share.running += 1
        self.running += 1
        self._virtual_s = max(self._virtual_s, slot.share.used_s)
        # Done already where the call was cancelled a moment ago; it gives the slot back.
        if not slot.granted.done():
            slot.granted.set_result(None)

    def _release(self, slot: RequestSlot) -> None:
        """End the running phase of a request; give its slot to the next one."""
        if slot.phase != _Phase.RUNNING:
            return
        held_s = self._clock() - slot.since
        self._holding_s += 0.2 * (held_s - self._holding_s)
        share = slot.share
        slot.phase = _Phase.SENDING
        share.used_s += held_s
        share.running -= 1
        share.sending += 1
        self.running -= 1
        while self.waiting and self.running < self.max_running:
            ready = [one for one in self._shares.values() if one.waiting]
            chosen = min(ready, key=lambda one: (one.running, one.used_s))
            self.waiting -= 1
            self._grant(chosen.waiting.popleft())

    def _leave(self, slot: RequestSlot, identity: str) -> None:
        share = slot.share
        if slot.phase == _Phase.WAITING:
            if slot.granted.done() and not slot.granted.cancelled():
                # Retrieved here if the call was cancelled before it could see why it was refused.
                slot.granted.exception()
            # Not there any more, if another one took its place.
            if slot in share.waiting:
                share.waiting.remove(slot)
                self.waiting -= 1
        else:
            self._release(slot)
            share.sending -= 1
        if share.load or share.sending or self._shares.get(identity) is not share:
            return
        del self._shares[identity]
        self._ahead[identity] = share.used_s
        self._ahead = {
            name: used_s
            for name, used_s in self._ahead.items()
            if self._shares and used_s > self._virtual_s
        }
