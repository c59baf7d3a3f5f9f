"""Keeps processes off the cores that vLLM bound its workers to, for every engine alike.

On CPUs vLLM binds each worker's threads to cores and leaves its other processes to the scheduler.
On a small machine those often land on a worker's core, and a run is then a third slower by chance.
"""

import contextlib
import os
from collections.abc import Iterator

import psutil


def spread_out(session: int) -> set[int]:
    """Move what is not bound to cores, of all processes of a session, to the other cores.

    Returns:
        the cores that are left for others; all of them where nothing is bound, or nothing is left.
    """
    if not hasattr(os, "sched_getaffinity"):
        return set(range(os.cpu_count() or 1))
    every = set(os.sched_getaffinity(0))
    threads = {}
    for thread in _threads(session):
        with contextlib.suppress(OSError):
            threads[thread] = set(os.sched_getaffinity(thread))
    bound = set().union(*(cores for cores in threads.values() if cores < every))
    left = every - bound
    if not bound or not left:
        return every
    for thread, cores in threads.items():
        if not cores < every:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(thread, left)
    return left


@contextlib.contextmanager
def staying_on(cores: set[int]) -> Iterator[None]:
    """Keep the calling thread on `cores` meanwhile."""
    if not hasattr(os, "sched_setaffinity") or not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _threads(session: int) -> Iterator[int]:
    for process in psutil.process_iter():
        # Either may end meanwhile.
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(process.pid) == session:
                yield from [thread.id for thread in process.threads()]
