"""The one stage runner: several stages at a time, each as soon as those that it needs are done.

A stage is done when its result exists, so a plan resumes from its results; the runner stores
nothing of its own. Experiments and releases are plans of such stages.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence, Set
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Protocol, TypeVar

# Most stages that share a process: the others go to the next process that is free.
MOST_TOGETHER = 8


class Runnable(Protocol):
    """What the runner needs to know of a stage, which runs whole or not at all."""

    @property
    def name(self) -> str:
        """Unique in its plan."""

    @property
    def waits_for(self) -> Collection[str]:
        """Stages that must be done first."""

    @property
    def kind(self) -> str:
        """Stages of a kind take about the same time."""

    @property
    def usual(self) -> float:
        """Expected minutes until a stage of its kind has run; 0 if unknown."""

    @property
    def together(self) -> str | None:
        """What stages that may share a process have in common; None if it needs its own."""


S = TypeVar("S", bound=Runnable)


def run_stages(
    stages: Sequence[S],
    run: Callable[[Sequence[S], bool], None],
    *,
    done: Callable[[S], bool],
    jobs: int = 1,
    until: float = math.inf,
    interrupt: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = print,
) -> list[S]:
    """Run the stages that are not done, in their order as far as their needs allow.

    Args:
        stages: The plan; stages that are needed but not in it count as done.
        run: Runs the stages that share a process. The flag says that nothing else runs until they
            have ended, so they may use every core.
        done: Whether a stage's result exists. Asked again just before the stage would start.
        jobs: Most processes at a time.
        until: No stage starts after this time of the monotonic clock.
        interrupt: Ends what runs, when this thread is interrupted.
        say: Receives a line for each stage that starts.

    Returns:
        The stages that are left because the time was up.

    Raises:
        Exception: What the first failed stage raised, after the stages that ran then have ended.
    """
    left = list(stages)
    count, started = sum(not done(stage) for stage in stages), 0
    running: dict[Future[None], tuple[list[S], float]] = {}
    took: defaultdict[str, list[float]] = defaultdict(list)
    failure: BaseException | None = None
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while True:
                now = [stage for batch, _ in running.values() for stage in batch]
                names = {stage.name for stage in now}
                batch = []
                if failure is None and len(running) < jobs and time.monotonic() <= until:
                    batch = _next_batch(left, names, done)
                if batch:
                    for stage in batch:
                        started += 1
                        place = f"[{started}/{max(started, count)}] {stage.name}"
                        say(place + _remaining([*left, *now], took, jobs))
                        left.remove(stage)
                    alone = not running and not _ready(left, {stage.name for stage in batch})
                    running[pool.submit(run, batch, alone)] = batch, time.monotonic()
                    continue
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    batch, began = running.pop(future)
                    failure = failure or future.exception()
                    minutes = (time.monotonic() - began) / 60 / len(batch)
                    took[batch[0].kind] += [minutes] * len(batch)
        except BaseException:
            # The pool waits for its threads, and they wait for what they run.
            interrupt()
            raise
    if failure:
        raise failure
    return [stage for stage in left if not done(stage)]


def _ready(left: Sequence[S], running: Set[str]) -> list[S]:
    """The stages that wait for no stage that is left or running."""
    unfinished = {stage.name for stage in left} | running
    return [stage for stage in left if unfinished.isdisjoint(stage.waits_for)]


def _next_batch(left: list[S], running: Set[str], done: Callable[[S], bool]) -> list[S]:
    """The first ready stage, and the ready ones that may share its process; drops done ones."""
    while ready := _ready(left, running):
        if not (finished := [stage for stage in ready if done(stage)]):
            shared = [
                s for s in ready if s.together is not None and s.together == ready[0].together
            ]
            return shared[:MOST_TOGETHER] or ready[:1]
        left[:] = [stage for stage in left if stage not in finished]
    return []


def _remaining(stages: Sequence[S], took: dict[str, list[float]], jobs: int) -> str:
    """The expected time for stages that are left or running, as text."""
    minutes = sum(
        sum(known) / len(known) if (known := took.get(stage.kind)) else stage.usual
        for stage in stages
    )
    whole = int(minutes / jobs)
    return f"  about {whole // 60}:{whole % 60:02d} left in all" if minutes else ""
