"""SIGTERM and SIGINT: the first asks the service to stop, the second to stop at once."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from multiprocessing import resource_tracker
from typing import Any, NoReturn, TypeVar

from duet_cloud import logs
from duet_cloud.errors import Exit

# How long the engine's processes have to end by themselves.
_END_S = 2.0

_Result = TypeVar("_Result")


class StoppedAtOnce(Exception):
    """The second signal ended the wait."""


class Stopping:
    """The signals that the service received; `asked` is set by the first one.

    Args:
        waiting_for: describes, for the log, what stopping has to wait for.
    """

    def __init__(self, waiting_for: Callable[[], str]) -> None:
        self.asked = asyncio.Event()
        self._at_once = asyncio.Event()
        self._waiting_for = waiting_for

    def listen(self) -> None:
        """Listen for the signals from now on."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._hear)

    def _hear(self) -> None:
        if self.asked.is_set():
            logs.get().warning("stopping at once")
            self._at_once.set()
        else:
            logs.get().info("stopping", waiting_for=self._waiting_for())
            self.asked.set()

    async def unless_at_once(self, awaited: Awaitable[_Result]) -> _Result:
        """Return what `awaited` gives.

        Raises:
            StoppedAtOnce: the second signal came first; `awaited` is cancelled.
        """
        waited = asyncio.ensure_future(awaited)
        stopped = asyncio.ensure_future(self._at_once.wait())
        try:
            await asyncio.wait({waited, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if waited.done():
                return waited.result()
            raise StoppedAtOnce
        finally:
            waited.cancel()
            stopped.cancel()


def end_process() -> NoReturn:
    """End this process, with every one that an engine which is being loaded has started.

    Loading runs in a thread, which nothing else can end.
    """
    # vLLM depends on it.
    import psutil

    def started() -> list[Any]:
        # Python's own, which removes what the others leave behind, and ends by itself.
        spared = resource_tracker._resource_tracker._pid  # type: ignore[attr-defined]
        return [p for p in psutil.Process().children(recursive=True) if p.pid != spared]

    for number, wait_s in ((signal.SIGTERM, _END_S), (signal.SIGKILL, _END_S)):
        processes = started()
        for process in processes:
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(processes, wait_s)
    os._exit(Exit.OK)
