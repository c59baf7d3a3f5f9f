"""When a question must stop: its time limit has passed, or it was interrupted."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from duet_device.errors import DeadlineExceeded, Interrupted

POLL_S = 0.02
"""Longest that any wait lasts before the deadline is checked again, in seconds."""


class Deadline:
    """Checked between tokens and chunks, where the decoder can be interrupted.

    Args:
        seconds: time limit of the question, from `started`.
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
        self._interrupted = False
        self._whole: Deadline | None = None

    def part(self, seconds: float) -> "Deadline":
        """Return a deadline from now on that is stopped with this one, as of one of many questions."""
        part = Deadline(seconds, stop=self.stop)
        part._whole = self
        return part

    def remaining(self) -> float:
        """Return the seconds left; negative once the deadline has passed."""
        return self._end - time.perf_counter()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Leave out the time spent within, which waits for a user, a pipe or a disk."""
        began = time.perf_counter()
        try:
            yield
        finally:
            waited = time.perf_counter() - began
            self.started += waited
            self._end += waited

    def elapsed_ms(self, at: float | None = None) -> float:
        """Return milliseconds from the start until `at` (a `perf_counter` value), or until now."""
        return ((time.perf_counter() if at is None else at) - self.started) * 1e3

    def interrupt(self) -> None:
        """Stop this question from any thread, and no other that shares its `stop`."""
        self._interrupted = True

    def check(self) -> None:
        """Return while the question may continue.

        Raises:
            Interrupted: the question was stopped.
            DeadlineExceeded: the time limit has passed.
        """
        is_interrupted = self._interrupted or (self._whole and self._whole._interrupted)
        if is_interrupted or self.stop.is_set():
            raise Interrupted("interrupted")
        if time.perf_counter() >= self._end:
            raise self.exceeded()

    def exceeded(self) -> DeadlineExceeded:
        """Return the error of a question whose time limit has passed."""
        return DeadlineExceeded(f"no complete answer within {self.seconds:g} s (--timeout)")
