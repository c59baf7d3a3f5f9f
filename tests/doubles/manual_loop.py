"""An event loop's clock and timers, moved on by hand."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Any


class ManualLoop:
    """`time`, `call_at` and `call_later` of an event loop; time passes in `run`."""

    def __init__(self) -> None:
        self.now = 100.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._order = itertools.count()

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self)  # type: ignore[arg-type]
        heapq.heappush(self._timers, (when, next(self._order), handle))
        return handle

    def run(self, seconds: float, late: float = 0.0) -> None:
        """Lets time pass; every timer fires `late` seconds after its time."""
        end = self.now + seconds
        while self._timers and self._timers[0][0] + late <= end:
            when, _, handle = heapq.heappop(self._timers)
            if not handle.cancelled():
                self.now = max(self.now, when + late)
                handle._run()
        self.now = end

    # What asyncio.TimerHandle asks of its loop.

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        raise context["exception"]
