"""Runs small functions in processes of their own and stops those that hang.

math-verify guards itself with SIGALRM, which fails off the main thread and scores everything 0
there, and cannot interrupt a computation inside C code. A process can be stopped anywhere. The
clock of a call starts when a process takes it up, so time spent in the queue is never counted.
"""

import logging
import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import TimeoutError as CallTimeoutError
from typing import Any

from pebble import ProcessExpired, ProcessPool

_log = logging.getLogger(__name__)


class TimedPool:
    """A pool of `processes` that gives each call `seconds`. Call `close` when done."""

    def __init__(
        self,
        processes: int = 1,
        seconds: float = 5.0,
        initializer: Callable[..., None] | None = None,
    ) -> None:
        # Spawned, not forked: the caller has threads (Ray, gRPC) that do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPool(max_workers=processes, initializer=initializer, context=context)
        self._seconds = seconds
        self.stopped = 0

    def map(self, function: Callable[..., float], calls: Sequence[Iterable[Any]]) -> list[float]:
        """`function(*call)` for each of `calls`; 0 for one that hangs, fails or dies.

        `stopped` counts those that hung or died.
        """
        futures = [
            self._pool.schedule(function, args=tuple(call), timeout=self._seconds) for call in calls
        ]
        return [self._result(future) for future in futures]

    def _result(self, future: Any) -> float:
        try:
            return float(future.result())
        except (CallTimeoutError, ProcessExpired):
            self.stopped += 1
            return 0.0
        except Exception as error:  # what sympy raises on malformed answers is not a closed set
            _log.debug("a verifier failed on one answer: %s", error)
            return 0.0

    def close(self) -> None:
        """Stop all processes."""
        self._pool.stop()
        self._pool.join()
