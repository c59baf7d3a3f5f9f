"""Several stages at a time, each as soon as what it needs is there, in the plan's order."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence, Set
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from duet_training.experiments.stage import Stage

# Stages that share a process, at most: what is left goes to the next that is free.
MOST = 8


def next_ready(left: Sequence[Stage], running: Set[str]) -> list[Stage]:
    """The first stage that waits for none of those that are left or running; none: empty.

    With it those that are ready, too, and run in the same process.
    """
    waited_for = {stage.name for stage in left} | running
    ready = [stage for stage in left if not waited_for & {*stage.needs, *stage.reads}]
    if not ready or ready[0].together is None:
        return ready[:1]
    return [stage for stage in ready if stage.together == ready[0].together][:MOST]


class Schedule:
    """Runs stages, `jobs` processes at a time.

    `do`: runs those of one process and returns their minutes; it is told whether they are alone:
    nothing else runs until they have ended. `stop`: ends those that run, when interrupted.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        jobs: int,
        do: Callable[[Sequence[Stage], bool], float],
        stop: Callable[[], None],
    ) -> None:
        self.left, self._stop = list(stages), stop
        self._count, self._jobs, self._do = len(self.left), jobs, do
        self._running: dict[Future[float], list[Stage]] = {}
        self._took: defaultdict[str, list[float]] = defaultdict(list)

    def run(self, until: float, say: Callable[[str], None]) -> None:
        """Goes on until nothing is left, or begins nothing more after `until` (monotonic).

        Raises:
            Exception: what the first stage that failed raised, once those beside it have ended.
        """
        with ThreadPoolExecutor(self._jobs) as pool:
            try:
                failure = self._run(pool, until, say)
            except BaseException:
                # The pool waits for its threads, and they for what they run.
                self._stop()
                raise
        if failure:
            raise failure

    def _run(
        self, pool: ThreadPoolExecutor, until: float, say: Callable[[str], None]
    ) -> Exception | None:
        failure: Exception | None = None
        while True:
            while not failure and time.monotonic() <= until and (stages := self._next()):
                for stage in stages:
                    say(self._line(stage))
                    self.left.remove(stage)
                # What is not ready now waits for these.
                names = {stage.name for stage in stages}
                alone = not self._running and not next_ready(self.left, names)
                self._running[pool.submit(self._do, stages, alone)] = stages
            if not self._running:
                return failure
            for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                stages = self._running.pop(future)
                error = future.exception()
                if isinstance(error, Exception):
                    failure = failure or error
                else:
                    each = future.result() / len(stages)
                    self._took[stages[0].kind] += [each] * len(stages)

    def _next(self) -> list[Stage]:
        if len(self._running) >= self._jobs:
            return []
        return next_ready(self.left, {stage.name for stage in self._now()})

    def _now(self) -> list[Stage]:
        return [stage for stages in self._running.values() for stage in stages]

    def _line(self, stage: Stage) -> str:
        waiting = [*self.left, *self._now()]
        minutes = sum(_expected(each, self._took[each.kind]) for each in waiting)
        place = f"[{self._count - len(self.left) + 1}/{self._count}]"
        return f"{place} {stage.name}  about {_clock(minutes / self._jobs)} left in all"


def _expected(stage: Stage, took: Sequence[float]) -> float:
    return sum(took) / len(took) if took else stage.usual


def _clock(minutes: float) -> str:
    return f"{int(minutes) // 60}:{int(minutes) % 60:02d}"
