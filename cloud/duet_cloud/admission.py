"""Admission: bounded running and waiting requests, unique ids, refusal at once."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from duet_cloud.status import duplicate, exhausted, unavailable
from duet_contract.v1.control_pb2 import (
    SERVING_STATE_DRAINING,
    SERVING_STATE_FAILED,
    SERVING_STATE_LOADING,
    SERVING_STATE_READY,
    ServingState,
)

# Short, since another address may serve the device at once.
_RETRY_AFTER_S = {
    SERVING_STATE_LOADING: 5.0,
    SERVING_STATE_DRAINING: 2.0,
    SERVING_STATE_FAILED: 2.0,
}
_WHY_NOT = {
    SERVING_STATE_LOADING: "the service is loading its model",
    SERVING_STATE_DRAINING: "the service is stopping",
    SERVING_STATE_FAILED: "the service's engine has failed",
}


class Admission:
    """Counts requests in flight; at most `max_running` generate and `max_waiting` wait."""

    def __init__(self, max_running: int, max_waiting: int) -> None:
        self.state: ServingState.ValueType = SERVING_STATE_LOADING
        self.max_running = max_running
        self.max_waiting = max_waiting
        self.running = 0
        self.waiting = 0
        self._in_flight: set[str] = set()
        self._slots = asyncio.Semaphore(max_running)
        self._idle = asyncio.Event()
        self._idle.set()
        # Smoothed seconds a request holds its slot; the retry delay of refused clients.
        self._holding_s = 1.0

    @property
    def why_not(self) -> str | None:
        """Why no request is admitted; None while they are."""
        return _WHY_NOT.get(self.state)

    def open(self, max_running: int) -> None:
        """Start admitting, `max_running` at a time; called when the engine is loaded."""
        self.max_running = max_running
        self._slots = asyncio.Semaphore(max_running)
        self.state = SERVING_STATE_READY

    def fail(self) -> None:
        """Stop admitting, because the engine failed; `open` starts again."""
        self.state = SERVING_STATE_FAILED

    @asynccontextmanager
    async def admit(self, request_id: str) -> AsyncIterator[None]:
        """Hold a slot for a request, and wait for one while the queue has room.

        Raises:
            Refusal: UNAVAILABLE while not ready, ALREADY_EXISTS for an id in flight,
                RESOURCE_EXHAUSTED when running and waiting requests are at their limits.
        """
        if self.state != SERVING_STATE_READY:
            raise unavailable(_WHY_NOT[self.state], _RETRY_AFTER_S[self.state])
        if request_id in self._in_flight:
            raise duplicate(request_id)
        if self._slots.locked() and self.waiting >= self.max_waiting:
            raise exhausted(
                f"{self.running} requests are running and {self.waiting} waiting, "
                f"the limits are {self.max_running} and {self.max_waiting}",
                self._holding_s,
            )
        self._in_flight.add(request_id)
        self._idle.clear()
        # Of this engine: another one, loaded later, has its own.
        slots = self._slots
        try:
            self.waiting += 1
            try:
                await slots.acquire()
            finally:
                self.waiting -= 1
            self.running += 1
            since = time.monotonic()
            try:
                yield
            finally:
                self.running -= 1
                slots.release()
                self._holding_s += 0.2 * (time.monotonic() - since - self._holding_s)
        finally:
            self._in_flight.discard(request_id)
            if not self._in_flight:
                self._idle.set()

    async def drain(self, grace_s: float) -> bool:
        """Stop admitting, wait for running requests; return False if some remain after `grace_s`."""
        self.state = SERVING_STATE_DRAINING
        try:
            await asyncio.wait_for(self._idle.wait(), grace_s)
        except TimeoutError:
            return False
        return True
