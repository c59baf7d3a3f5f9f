"""How a function's time grows with its input, whatever else the machine does."""

import gc
import time
from collections.abc import Callable

# Smaller times are noise: a function that takes less passes.
_LEAST_S = 5e-4
_TRIES = 3


def cpu_seconds(work: Callable[[], object]) -> float:
    """Measures processor time of this thread alone, without garbage collection."""
    collects = gc.isenabled()
    gc.disable()
    try:
        began = time.thread_time()
        work()
        return time.thread_time() - began
    finally:
        if collects:
            gc.enable()


def assert_no_slower(
    work: Callable[[], object], than: Callable[[], object], times: float = 1.0
) -> None:
    """Fails if `work` takes far more processor time than so many times that of `than`.

    Three times as long is allowed, and the least of three runs counts, so that only another order
    of growth fails: quadratic time is 8 times that of a text of an eighth.
    """
    least, other = float("inf"), float("inf")
    for _ in range(_TRIES):
        other = max(_LEAST_S, min(other, cpu_seconds(than)))
        least = min(least, cpu_seconds(work))
        if least < 3 * times * other:
            return
    raise AssertionError(f"{least:.4f} s, {least / other:.1f} times as long as {other:.4f} s")


def assert_linear(work: Callable[[str], object], pattern: str, length: int = 20_000) -> None:
    """Fails if the time that `work` takes for a repeated pattern grows faster than its length."""
    large = pattern * (length // len(pattern))
    small = large[: length // 8]
    assert_no_slower(lambda: work(large), lambda: work(small), 8)
