"""One replica of the service: its admission, and an engine that all its requests share.

Decoding is processor sharing at the measured speed: with n requests running, each gets a token
every `step_s(n)`. So it is enough to know how many tokens *each* stream has been given so far
(`_given`): a request that starts at g and wants w tokens is done when that reaches g + w. A prompt
stops the decoding of all for `prefill_s`, as it does in the engine.

Admission is the service's (`cloud/duet_cloud/admission.py`): a limited number of requests run, a
limited number wait in order, and one more is refused with a retry delay: the smoothed time that
requests hold their slots.
"""

import functools
import heapq
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import simpy

from duet_tools.fleet.costs import EngineCosts

# As in cloud/duet_cloud/admission.py.
_FIRST_HOLDING_S = 1.0
_SMOOTHING = 0.2


@dataclass(eq=False)
class Job:
    """One request."""

    tokens: float
    """Tokens of the whole request."""
    first_at: float
    """Number of the token whose time `first` holds."""
    ended: Callable[["Job", bool], None]
    """Called when the request ends, with whether it is complete."""
    asked: float = 0.0
    """Simulated time in seconds at which it was submitted."""
    started: float = 0.0
    """Simulated time in seconds at which it got a slot."""
    first: float = 0.0
    """Simulated time in seconds of the token `first_at`."""
    over: bool = False
    """Whether it has ended or was aborted."""
    running: bool = field(default=False, repr=False)
    """Whether it has a slot."""


@functools.lru_cache(maxsize=8)
def _step_times(engine: EngineCosts, max_running: int) -> tuple[float, ...]:
    """Return the seconds of a step by number of streams, the same for all replicas."""
    return (0.0, *(engine.step_s(streams) for streams in range(1, max_running + 1)))


class Replica:
    """Runs jobs in simulated time."""

    def __init__(
        self, env: simpy.Environment, engine: EngineCosts, max_running: int, max_waiting: int
    ) -> None:
        self._env = env
        self._engine = engine
        self._max_running = max_running
        self._max_waiting = max_waiting
        self._steps = _step_times(engine, max_running)
        self._waiting: deque[Job] = deque()
        self._marks: list[tuple[float, int, bool, Job]] = []
        self._order = itertools.count()
        self._given = 0.0
        self._at = 0.0
        self._paused_until = 0.0
        self._alarm = 0
        self._holding_s = _FIRST_HOLDING_S
        self.running = 0
        self.busy_s = 0.0
        self.running_s = 0.0
        self.tokens = 0.0

    def submit(self, job: Job) -> float | None:
        """Accept a job, or refuse it and return the retry delay in seconds."""
        if self.running < self._max_running:
            self._start(job)
        elif len(self._waiting) < self._max_waiting:
            self._waiting.append(job)
        else:
            return self._holding_s
        return None

    def leave(self, job: Job) -> None:
        """Remove a job that its device aborted; free its slot at once."""
        if job.over:
            return
        job.over = True
        if job.running:
            self._advance()
            self._end(job)
            self._arm()
        else:
            self._waiting.remove(job)
        job.ended(job, False)

    def settle(self) -> None:
        """Update the counts to the present time."""
        self._advance()

    def _start(self, job: Job) -> None:
        self._advance()
        now = self._env.now
        job.running, job.started = True, now
        self.running += 1
        self._paused_until = max(self._paused_until, now) + self._engine.prefill_s
        for tokens, last in ((job.first_at, False), (job.tokens, True)):
            heapq.heappush(self._marks, (self._given + tokens, next(self._order), last, job))
        self._arm()

    def _end(self, job: Job) -> None:
        self.running -= 1
        self._holding_s += _SMOOTHING * (self._env.now - job.started - self._holding_s)
        if self._waiting:
            self._start(self._waiting.popleft())

    def _advance(self) -> None:
        """Credit every running stream with its tokens since the last call."""
        now = self._env.now
        passed = now - self._at
        if self.running and passed > 0:
            self.busy_s += passed
            self.running_s += passed * self.running
            decoding = now - max(self._at, min(self._paused_until, now))
            given = decoding / self._steps[self.running]
            self._given += given
            self.tokens += given * self.running
        self._at = now

    def _arm(self) -> None:
        """Schedule the next mark, if nothing changes until then."""
        while self._marks and self._marks[0][3].over:
            heapq.heappop(self._marks)
        self._alarm += 1
        if not self._marks:
            return
        now = self._env.now
        left = max(0.0, self._marks[0][0] - self._given) * self._steps[self.running]
        ring = self._env.timeout(max(0.0, self._paused_until - now) + left)
        assert ring.callbacks is not None
        ring.callbacks.append(partial(self._ring, self._alarm))

    def _ring(self, alarm: int, _event: simpy.Event) -> None:
        if alarm != self._alarm:
            return
        self._advance()
        reached, *_rest = self._marks[0]
        # A rest that rounding left needs no further event, which might not move the clock.
        self._given = max(self._given, reached)
        while self._marks and self._marks[0][0] <= self._given:
            _, _, last, job = heapq.heappop(self._marks)
            if job.over:
                continue
            if not last:
                job.first = self._env.now
                continue
            job.over = True
            self._end(job)
            job.ended(job, True)
        self._arm()
