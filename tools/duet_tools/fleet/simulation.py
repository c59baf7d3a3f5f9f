"""One simulated run of devices and replicas, and its measurements.

With the split a request is the signal's tokens, and the answer is the device's own time. Without,
the large model's reasoning and its answer are both the replica's. A refused device retries once,
after the service's retry delay (as `device/duet_device/retries.py` does); refused again, it aborts.
"""

import random
from array import array
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import simpy

from duet_tools.fleet.costs import Costs
from duet_tools.fleet.patterns import Pattern
from duet_tools.fleet.replica import Job, Replica
from duet_tools.link.profiles import LinkProfile

SimulatedMode = Literal["split", "alone"]
MODES: tuple[SimulatedMode, ...] = ("split", "alone")


@dataclass(frozen=True)
class Setup:
    """Settings of a simulation."""

    costs: Costs
    """Measured costs of a question."""
    link: LinkProfile
    """The link of each device."""
    pattern: Pattern
    """The pattern of questions."""
    devices: int
    """Number of devices."""
    replicas: int
    """Number of replicas."""
    max_running: int = 64
    """Maximum running requests of one replica."""
    max_waiting: int = 64
    """Maximum waiting requests of one replica."""
    duration_s: float = 3600.0
    """Simulated time in seconds."""
    warm_up_s: float = 360.0
    """First seconds of the simulated time, which do not count."""
    timeout_s: float | None = 120.0
    """Seconds after which a device aborts a question; None: no limit."""
    retries: int = 1
    """Retries of a refused device."""


@dataclass
class SimulatedRun:
    """Times of complete questions, and counts over all questions that count."""

    first: "array[float]" = field(default_factory=lambda: array("d"))
    """Seconds until the first answer token."""
    total: "array[float]" = field(default_factory=lambda: array("d"))
    """Seconds until the last answer token."""
    reason: "array[float]" = field(default_factory=lambda: array("d"))
    """Seconds of the signal, or of all that the cloud does, with the link."""
    asked: int = 0
    """Number of questions."""
    refused: int = 0
    """Number of questions that were refused at first."""
    abandoned: int = 0
    """Number of questions whose device stopped retrying."""
    timed_out: int = 0
    """Number of questions whose device reached its time limit."""
    seconds: float = 0.0
    """Seconds of simulated time that count."""
    busy: float = 0.0
    """Share of time that a replica works."""
    running: float = 0.0
    """Mean number of running requests in a replica."""
    tokens_per_s: float = 0.0
    """Tokens per second of all replicas together."""
    up_bytes: float = 0.0
    """Bytes to the cloud."""
    down_bytes: float = 0.0
    """Bytes to the devices."""


class Fleet:
    """One run of a setup. `arrivals`: (time, tokens) to replay instead of the pattern's."""

    def __init__(
        self,
        setup: Setup,
        mode: SimulatedMode,
        seed: int,
        arrivals: Sequence[tuple[float, float]] | None = None,
    ) -> None:
        self._setup = setup
        self._mode: SimulatedMode = mode
        self._draws = random.Random(f"{seed}/work")
        self._arriving = random.Random(f"{seed}/arrivals")
        self._arrivals = arrivals
        self._env = simpy.Environment()
        self._replicas = [
            Replica(self._env, setup.costs.engine, setup.max_running, setup.max_waiting)
            for _ in range(setup.replicas)
        ]
        self._loads = [0] * setup.replicas
        self._seen = SimulatedRun(seconds=setup.duration_s - setup.warm_up_s)
        wire = setup.costs.split_wire if mode == "split" else setup.costs.alone_wire
        self._wire = wire
        up, down = setup.link.up, setup.link.down
        self._up_s = up.delay_ms / 1000 + 8 * wire.up_bytes / (up.rate_bit_s or float("inf"))
        # The last chunk is small; what comes before it comes while the next is being made.
        self._down_s = down.delay_ms / 1000

    def run(self) -> SimulatedRun:
        """Simulate one run; use a new `Fleet` for each run."""
        setup, env = self._setup, self._env
        env.process(self._replay() if self._arrivals is not None else self._arrive())
        if setup.warm_up_s > 0:
            env.run(until=setup.warm_up_s)
        before = self._totals()
        env.run(until=setup.duration_s)
        after = self._totals()
        # What was asked in time is answered, or the slowest would not count.
        env.run()
        seen, span = self._seen, self._seen.seconds
        share = 1 / (span * setup.replicas)
        busy, running, tokens = (late - early for late, early in zip(after, before, strict=True))
        seen.busy, seen.running, seen.tokens_per_s = busy * share, running * share, tokens / span
        return seen

    def _totals(self) -> tuple[float, float, float]:
        for replica in self._replicas:
            replica.settle()
        return (
            sum(replica.busy_s for replica in self._replicas),
            sum(replica.running_s for replica in self._replicas),
            sum(replica.tokens for replica in self._replicas),
        )

    def _arrive(self) -> Generator[simpy.Event, Any, None]:
        setup, env = self._setup, self._env
        for at in setup.pattern.starts(setup.devices, self._arriving, setup.duration_s):
            yield env.timeout(max(0.0, at - env.now))
            questions = setup.pattern.questions(self._draws)
            if questions == 1:
                _Question(self).ask()
            else:
                env.process(self._session(questions))

    def _session(self, questions: int) -> Generator[simpy.Event, Any, None]:
        env, setup = self._env, self._setup
        for _ in range(questions):
            if env.now >= setup.duration_s:
                return
            answered = env.event()
            _Question(self, answered=answered).ask()
            yield answered
            yield env.timeout(self._draws.expovariate(1 / setup.pattern.think_s))

    def _replay(self) -> Generator[simpy.Event, Any, None]:
        for at, tokens in self._arrivals or ():
            yield self._env.timeout(max(0.0, at - self._env.now))
            _Question(self, tokens=tokens).ask()


class _Question:
    """One question's way through the fleet."""

    def __init__(
        self, fleet: Fleet, tokens: float | None = None, answered: simpy.Event | None = None
    ) -> None:
        costs = fleet._setup.costs
        rank = int(fleet._draws.random() * len(costs.signal_tokens))
        self._fleet = fleet
        self._env = fleet._env
        self._answered = answered
        self._answer = costs.answer_tokens[rank % len(costs.answer_tokens)]
        signal = costs.signal_tokens[rank]
        if fleet._mode == "alone" and costs.alone_tokens is not None:
            signal = costs.alone_tokens[rank % len(costs.alone_tokens)]
        self._signal = signal if tokens is None else tokens
        self._asked = self._env.now
        self._counts = self._asked >= fleet._setup.warm_up_s
        self._attempts = 0
        self._replica: Replica | None = None
        self._place = 0
        self._over = False

    def ask(self) -> None:
        """Send the question; it reaches a replica when the link has carried it."""
        if self._counts:
            self._fleet._seen.asked += 1
            self._fleet._seen.up_bytes += self._fleet._wire.up_bytes
        self._after(self._fleet._up_s + self._fleet._setup.costs.engine.overhead_s, self._arrive)
        if self._fleet._setup.timeout_s is not None:
            self._after(self._fleet._setup.timeout_s, self._give_up)

    def _arrive(self) -> None:
        if self._over:
            return
        fleet = self._fleet
        self._attempts += 1
        alone = fleet._mode == "alone"
        self._job = Job(
            tokens=self._signal + self._answer * alone,
            first_at=self._signal + 1 if alone else 1.0,
            ended=self._ended,
            asked=self._asked,
        )
        loads = fleet._loads
        self._place = loads.index(min(loads))
        replica = fleet._replicas[self._place]
        wait = replica.submit(self._job)
        if wait is None:
            self._replica = replica
            loads[self._place] += 1
            return
        if self._counts and self._attempts == 1:
            fleet._seen.refused += 1
        timeout = fleet._setup.timeout_s
        late = timeout is not None and self._env.now + wait >= self._asked + timeout
        if self._attempts > fleet._setup.retries or late:
            self._over = True
            fleet._seen.abandoned += self._counts
            self._done()
        else:
            self._after(fleet._down_s + wait + fleet._up_s, self._arrive)

    def _ended(self, job: Job, complete: bool) -> None:
        fleet = self._fleet
        fleet._loads[self._place] -= 1
        if not complete:
            return
        self._over = True
        costs = fleet._setup.costs
        reason = self._env.now + fleet._down_s - self._asked
        if fleet._mode == "split":
            first = reason + costs.device.first_answer_s
            total = first + max(0.0, self._answer - 1) / costs.device.answer_tokens_per_s
        else:
            first, total = job.first + fleet._down_s - self._asked, reason
        timeout = fleet._setup.timeout_s
        if timeout is not None and total > timeout:
            # The device stops in the middle of its own part.
            fleet._seen.timed_out += self._counts
            total = timeout
        elif self._counts:
            seen = fleet._seen
            seen.first.append(first)
            seen.total.append(total)
            seen.reason.append(reason)
            seen.down_bytes += job.tokens * fleet._wire.down_bytes_per_token
        if self._answered is not None:
            self._after(self._asked + total - self._env.now, self._done)

    def _give_up(self) -> None:
        if self._over:
            return
        self._over = True
        self._fleet._seen.timed_out += self._counts
        if self._replica:
            self._replica.leave(self._job)
        self._done()

    def _done(self) -> None:
        if self._answered is not None and not self._answered.triggered:
            self._answered.succeed()

    def _after(self, seconds: float, call: Callable[[], None]) -> None:
        event = self._env.timeout(max(0.0, seconds))
        assert event.callbacks is not None
        event.callbacks.append(lambda _: call())
