"""Keeps processes off the cores that vLLM bound its workers to, for every engine alike.

On CPUs vLLM binds each worker's threads to cores and leaves its other processes to the scheduler.
On a small machine those often land on a worker's core, and a run is then a third slower by chance.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_SESSION_FIELD = 3


def spread_out(session: int) -> set[int]:
    """Move what is not bound to cores, of all processes of a session, to the other cores.

    Returns:
        the cores that are left for others; all of them where nothing is bound, or nothing is left.
    """
    every = _usable()
    threads = {tid: _cores(tid) for pid in _session_members(session) for tid in _threads(pid)}
    bound = set().union(*(cores for cores in threads.values() if cores < every))
    left = every - bound
    if not bound or not left:
        return every
    for tid, cores in threads.items():
        if not cores < every:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(tid, left)
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


def _usable() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def _session_members(session: int) -> list[int]:
    found = []
    for entry in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name, in parentheses, may hold anything; the fields after it are numbers.
            fields = (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            if int(fields[_SESSION_FIELD]) == session:
                found.append(int(entry.name))
    return found


def _threads(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(entry.name) for entry in (_PROC / str(pid) / "task").iterdir()]
    return []


def _cores(tid: int) -> set[int]:
    with contextlib.suppress(OSError):
        return set(os.sched_getaffinity(tid))
    return _usable()
