"""Processes of an engine end when the service does, however it ends, and not by Ctrl-C.

A service that is killed (SIGKILL, out of memory) ends nothing itself, and vLLM's engine core would
keep the GPU. So each process of an engine asks Linux for SIGKILL when its parent dies
(`PR_SET_PDEATHSIG`, prctl(2)). Shared memory is then removed by Python's resource tracker, which
outlives them all.

vLLM forks its processes, or spawns them. A fork runs the hooks that are registered here. A spawned
process runs `end_with_parent`, as a plugin of vLLM's (`vllm.general_plugins` in pyproject.toml),
which vLLM loads in every process that it starts. It leaves engines of other programs alone.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing import resource_tracker

PLUGIN = "duet_end_with_parent"
"""The plugin's name, as the variable `VLLM_PLUGINS` lists it."""
_VARIABLE = "DUET_END_WITH_PARENT"
"""Set for the processes of this service's engines."""
_PR_SET_PDEATHSIG = 1


class _Forks:
    """What the hooks of a fork know."""

    bound = False
    """Whether forks end with this process."""
    parent = 0
    """The process that forks."""


@contextmanager
def starting_processes() -> Iterator[None]:
    """While this thread starts an engine: its processes end with this one, and ignore SIGINT.

    Ctrl-C in a terminal reaches every process of the service. vLLM's would abort their requests,
    which the service is to finish; it ends them itself, with SIGTERM.
    """
    _register_fork_hooks()
    # Started later, the resource tracker would unblock the signal again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    _Forks.bound = True
    os.environ[_VARIABLE] = "1"
    try:
        yield
    finally:
        _Forks.bound = False
        del os.environ[_VARIABLE]
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """Make a spawned process of the service's engine, and its forks, end with their parents."""
    parent = multiprocessing.parent_process()
    if _VARIABLE in os.environ and parent is not None and parent.pid is not None:
        _end_with(parent.pid)
        _register_fork_hooks()
        _Forks.bound = True


@cache
def _register_fork_hooks() -> None:
    def before() -> None:
        _Forks.parent = os.getpid()

    def after() -> None:
        if _Forks.bound:
            _end_with(_Forks.parent)

    os.register_at_fork(before=before, after_in_child=after)


def _end_with(parent: int) -> None:
    """End this process when `parent`, which started it, ends; now if that has happened already.

    Only Linux has a parent-death signal; elsewhere nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    # The signal is sent when the thread that started this process ends: engines are loaded in a
    # thread of the event loop's pool, which lasts as long as the loop.
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
