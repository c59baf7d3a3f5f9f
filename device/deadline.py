"""When a question must stop: its time has passed, or somebody asked it to."""

import threading
import time

from device.errors import DeadlineExceeded, Interrupted


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
