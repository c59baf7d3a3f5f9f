"""A clock that a test can put ahead, instead of waiting."""

import time


class SteppedClock:
    """The process's `time.perf_counter`, `ahead` seconds later."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._real = time.perf_counter

    def __call__(self) -> float:
        return self._real() + self.ahead
