"""When a question must stop: its time has passed, or somebody asked it to."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from duet_device.errors import DeadlineExceeded, Interrupted


class Start:
    """When a question began (`at`, a `perf_counter` value), however long it took to be there."""

    def __init__(self, at: float | None = None) -> None:
        self.at = time.perf_counter() if at is None else at

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """What is done within does not count: it waits for a user, a pipe, a disk."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.at += time.perf_counter() - began


class Deadline:
    """Checked between tokens and chunks, where the decoder can be interrupted.

    Args:
        seconds: how long the question may take, from `started`.
        started: `time.perf_counter()` at the question's start; now, if None.
        stop: set from any thread (a signal handler, too) to stop the question.
    """

    def __init__(
        self, seconds: float, started: float | None = None, stop: threading.Event | None = None
    ) -> None:
        self.seconds = seconds
        self.started = time.perf_counter() if started is None else started
        self.stop = stop or threading.Event()
        self._end = self.started + seconds

    def remaining(self) -> float:
        """Seconds left; negative once the deadline has passed."""
        return self._end - time.perf_counter()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The deadline moves by what is done within; milliseconds go on."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._end += time.perf_counter() - began

    def elapsed_ms(self, at: float | None = None) -> float:
        """Milliseconds from the start until `at` (a `perf_counter` value), or until now."""
        return ((time.perf_counter() if at is None else at) - self.started) * 1e3

    def check(self) -> None:
        """Does nothing as long as the question may go on.

        Raises:
            Interrupted: `stop` was set.
            DeadlineExceeded: the time has passed.
        """
        if self.stop.is_set():
            raise Interrupted("interrupted")
        if time.perf_counter() >= self._end:
            raise DeadlineExceeded(f"no complete answer within {self.seconds:g} s (--timeout)")
