"""Several stages at a time, each as soon as what it needs is there, in the plan's order."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence, Set
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from training.evidence.stage import Stage


def next_ready(left: Sequence[Stage], running: Set[str]) -> Stage | None:
    """The first stage that waits for none of those that are left or running."""
    waited_for = {stage.name for stage in left} | running
    for stage in left:
        if not waited_for & {*stage.needs, *stage.reads}:
            return stage
    return None


class Schedule:
    """Runs stages `jobs` at a time.

    `do`: runs one and returns its minutes; it is told whether the stage is alone: nothing else runs
    until it has ended. `stop`: ends those that run, when interrupted.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        jobs: int,
        do: Callable[[Stage, bool], float],
        stop: Callable[[], None],
    ) -> None:
        self.left, self._stop = list(stages), stop
        self._count, self._jobs, self._do = len(self.left), jobs, do
        self._running: dict[Future[float], Stage] = {}
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
            while not failure and time.monotonic() <= until and (stage := self._next()):
                say(self._line(stage))
                self.left.remove(stage)
                # What is not ready now waits for this one.
                alone = not self._running and not next_ready(self.left, {stage.name})
                self._running[pool.submit(self._do, stage, alone)] = stage
            if not self._running:
                return failure
            for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                stage = self._running.pop(future)
                error = future.exception()
                if isinstance(error, Exception):
                    failure = failure or error
                else:
                    self._took[stage.kind].append(future.result())

    def _next(self) -> Stage | None:
        if len(self._running) >= self._jobs:
            return None
        return next_ready(self.left, {stage.name for stage in self._running.values()})

    def _line(self, stage: Stage) -> str:
        waiting = [*self.left, *self._running.values()]
        minutes = sum(_expected(each, self._took[each.kind]) for each in waiting)
        place = f"[{self._count - len(self.left) + 1}/{self._count}]"
        return f"{place} {stage.name}  about {_clock(minutes / self._jobs)} left in all"


def _expected(stage: Stage, took: Sequence[float]) -> float:
    return sum(took) / len(took) if took else stage.usual


def _clock(minutes: float) -> str:
    return f"{int(minutes) // 60}:{int(minutes) % 60:02d}"
