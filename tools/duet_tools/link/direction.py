"""One direction of a link: a clock that says when its next bits may leave, shared by connections.

A segment leaves when those before it have left, at the link's rate, and arrives a delay later. The
link is given to connections in turn, a segment each, and only as far ahead as timers are late, so
that one connection's backlog does not keep the others waiting. What passes is in bytes, times are
in seconds of the event loop's clock.
"""

import asyncio
import contextlib
import random
from collections import deque
from enum import Enum, auto
from typing import Protocol

from duet_tools.link.profiles import Direction

# Segments are what Ethernet carries of TCP, and on fast links what passes in a millisecond.
_SEGMENT_BYTES = 1448
_MOST_SEGMENT_BYTES = 1 << 16
_SEGMENT_S = 0.001
# How far ahead the link is given away: more than timers are late.
_AHEAD_S = 0.004
# A link with a continuous backlog makes up for a timer that was later than that, up to this.
_CATCH_UP_S = 0.1
# Above this a connection's sender waits; several milliseconds of the fastest link.
MOST_BACKLOG = 1 << 19
# Above this nothing more of a connection enters the link: its reader is too slow.
_MOST_IN_FLIGHT = 1 << 24
# Due so soon counts as due.
_SOON_S = 0.00002


class Mark(Enum):
    """What passes besides bytes: END of a stream, or the ending of the whole connection."""

    END = auto()
    CUT = auto()
    RESET = auto()


class Sink(Protocol):
    """Where a pipe's bytes go."""

    def deliver(self, data: bytes) -> None:
        """Bytes that have passed."""

    def finish(self, mark: Mark) -> None:
        """The stream's end, or the connection's."""


class Source(Protocol):
    """Where they come from."""

    def pause(self) -> None:
        """Stop reading."""

    def resume(self) -> None:
        """Resume reading."""


class SharedDirection:
    """One direction of a link. `settings` may change at any time, by `change`.

    `own_s`: seconds that passing a segment takes, subtracted from its delay.
    """

    def __init__(self, settings: Direction, loop: asyncio.AbstractEventLoop) -> None:
        self.settings = settings
        self.loop = loop
        self.own_s = 0.0
        self.delivered = 0
        self.pipes: set[Pipe] = set()
        self._turns: deque[Pipe] = deque()
        self._free_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._pumping = False

    def change(self, settings: Direction) -> None:
        """From now on the direction is like this; what is under way arrives as it would have."""
        self.settings = settings
        if self._timer:
            self._timer.cancel()
        # A backlog that waited for a slow link does not wait for it any longer.
        self._free_at = min(self._free_at, self.loop.time() + _AHEAD_S)
        self.pump()
        for pipe in tuple(self.pipes):
            pipe.land()

    def queue(self, pipe: "Pipe") -> None:
        """Give a pipe that has a backlog a turn."""
        if not self._turns and not self._pumping:
            self._free_at = max(self._free_at, self.loop.time())
        self._turns.append(pipe)
        if self._timer is None and not self._pumping:
            self.pump()

    def pump(self) -> None:
        """Let segments enter the link, as far ahead as is allowed."""
        self._timer = None
        self._pumping = True
        now = self.loop.time()
        self._free_at = max(self._free_at, now - _CATCH_UP_S)
        while self._turns and not self.settings.stalled:
            if self._free_at - now > _AHEAD_S:
                self._timer = self.loop.call_at(self._free_at - _AHEAD_S / 2, self.pump)
                break
            pipe = self._turns.popleft()
            segment = pipe.take(self._quantum())
            leaves = now
            if self.settings.rate_bit_s is not None:
                self._free_at += 8 * len(segment) / self.settings.rate_bit_s
                leaves = max(now, self._free_at)
            pipe.fly(leaves, segment)
        self._pumping = False

    def drop(self, pipe: "Pipe") -> None:
        """Forget a pipe."""
        self.pipes.discard(pipe)
        with contextlib.suppress(ValueError):
            self._turns.remove(pipe)

    def _quantum(self) -> int:
        if self.settings.rate_bit_s is None:
            return _MOST_SEGMENT_BYTES
        passes = int(self.settings.rate_bit_s * _SEGMENT_S / 8)
        return min(max(_SEGMENT_BYTES, passes), _MOST_SEGMENT_BYTES)


class Pipe:
    """One direction of one connection.

    Args:
        direction: the link's direction that it passes.
        draws: what jitter is drawn from; the n-th segment gets the n-th draw.
        opens_at: nothing enters earlier.
    """

    def __init__(
        self,
        direction: SharedDirection,
        source: Source,
        sink: Sink,
        draws: random.Random,
        opens_at: float,
    ) -> None:
        self.direction = direction
        self._loop = direction.loop
        self._source = source
        self._sink = sink
        self._draws = draws
        self._opens_at = opens_at
        self._backlog: deque[memoryview | Mark] = deque()
        self._backlog_bytes = 0
        self._taken = 0
        self._in_flight: deque[tuple[float, bytes | Mark]] = deque()
        self._in_flight_bytes = 0
        self._last_due = 0.0
        self._held: asyncio.TimerHandle | None = None
        self._landing: asyncio.TimerHandle | None = None
        self._queued = False
        self._blocked = False
        self._source_paused = False
        self._over = False
        direction.pipes.add(self)
        if self._limit() == 0:
            self._over = True
            self._send(self._ending())

    def send(self, data: bytes) -> None:
        """Take bytes from the source."""
        if data and not self._over:
            self._backlog_bytes += len(data)
            self._send(memoryview(data))
            if self._backlog_bytes > MOST_BACKLOG and not self._source_paused:
                self._source_paused = True
                self._source.pause()

    def end(self, mark: Mark = Mark.END) -> None:
        """Mark the source's end; bytes that it sent before pass first."""
        if not self._over:
            self._send(mark)

    def block(self, blocked: bool) -> None:
        """Whether the sink can take no more for now."""
        self._blocked = blocked
        if not blocked:
            self.land()

    def close(self) -> None:
        """Drop what has not arrived."""
        self._over = True
        self._backlog.clear()
        self._in_flight.clear()
        for timer in (self._held, self._landing):
            if timer:
                timer.cancel()
        self.direction.drop(self)

    def take(self, most: int) -> bytes:
        """Return the next segment of the backlog, at most so long; empty before a mark."""
        head = self._backlog[0]
        if isinstance(head, Mark):
            return b""
        settings = self.direction.settings
        bounds = [most, settings.slice_bytes or most]
        if settings.stall_every_bytes:
            bounds.append(settings.stall_every_bytes - self._taken % settings.stall_every_bytes)
        limit = self._limit()
        if limit is not None:
            bounds.append(max(0, limit - self._taken))
        segment, rest = bytes(head[: min(bounds)]), head[min(bounds) :]
        self._backlog_bytes -= len(segment)
        self._taken += len(segment)
        if limit is not None and self._taken >= limit:
            # The bytes after the mark are lost with the connection.
            self._over = True
            self._backlog.clear()
            self._backlog.append(self._ending())
        elif rest:
            self._backlog[0] = rest
        else:
            self._backlog.popleft()
        return segment

    def fly(self, leaves: float, segment: bytes) -> None:
        """Schedule the arrival of the segment that was taken, and ask for another turn."""
        self._queued = False
        settings = self.direction.settings
        delay = settings.delay_ms
        if settings.jitter_ms:
            delay += self._draws.uniform(-settings.jitter_ms, settings.jitter_ms)
        due = max(self._last_due, leaves + max(0.0, delay / 1000 - self.direction.own_s))
        if segment:
            if settings.slice_bytes:
                due = max(due, self._last_due + settings.slice_gap_ms / 1000)
            self._in_flight.append((due, segment))
            self._in_flight_bytes += len(segment)
        while self._backlog and isinstance(mark := self._backlog[0], Mark):
            self._in_flight.append((due, mark))
            self._backlog.popleft()
        self._last_due = due
        if self._source_paused and self._backlog_bytes <= MOST_BACKLOG // 2:
            self._source_paused = False
            self._source.resume()
        every = settings.stall_every_bytes
        if every and segment and self._taken % every == 0:
            self._hold(leaves + settings.stall_ms / 1000)
        if self._landing is None:
            self.land()
        self._enter()

    def land(self) -> None:
        """Deliver what is due, and schedule the next delivery."""
        if self._landing:
            self._landing.cancel()
            self._landing = None
        now = self._loop.time() + _SOON_S
        whole = self.direction.settings.slice_bytes is None
        while self._in_flight and not self._blocked and not self.direction.settings.stalled:
            due, first = self._in_flight[0]
            if due > now:
                self._landing = self._loop.call_at(due, self.land)
                break
            self._in_flight.popleft()
            if isinstance(first, Mark):
                self._sink.finish(first)
                continue
            parts = [first]
            while whole and self._in_flight and self._in_flight[0][0] <= now:
                part = self._in_flight[0][1]
                if isinstance(part, Mark):
                    break
                parts.append(part)
                self._in_flight.popleft()
            data = b"".join(parts) if len(parts) > 1 else first
            self._in_flight_bytes -= len(data)
            self.direction.delivered += len(data)
            self._sink.deliver(data)
        self._enter()

    def _send(self, item: memoryview | Mark) -> None:
        self._backlog.append(item)
        self._enter()

    def _enter(self) -> None:
        """Ask for a turn if there is a backlog, and nothing that it waits for."""
        if not self._backlog or self._queued or self._held:
            return
        if self._loop.time() < self._opens_at:
            self._hold(self._opens_at)
        elif self._in_flight_bytes <= _MOST_IN_FLIGHT:
            self._queued = True
            self.direction.queue(self)

    def _hold(self, until: float) -> None:
        self._held = self._loop.call_at(until, self._release)

    def _release(self) -> None:
        self._held = None
        self._enter()

    def _limit(self) -> int | None:
        settings = self.direction.settings
        limits = [settings.cut_after_bytes, settings.reset_after_bytes]
        return min((limit for limit in limits if limit is not None), default=None)

    def _ending(self) -> Mark:
        settings = self.direction.settings
        return Mark.RESET if self._limit() == settings.reset_after_bytes else Mark.CUT
