"""An event loop whose timers are exact to tens of microseconds.

`epoll_wait` counts in milliseconds and asyncio rounds up, which on a link of 2 ms would be most of
the delay. An epoll descriptor can itself be waited for with `select`, which counts in microseconds.
The longer a processor was idle, the later it wakes; so the last part of a wait is separate.
"""

import asyncio
import select
import selectors
import sys
import time
from contextlib import AbstractContextManager

from anyio.from_thread import BlockingPortal, start_blocking_portal

# What `select` can take (FD_SETSIZE).
_MOST_DESCRIPTOR = 1024
_LAST_STRETCH_S = 0.001

if sys.platform == "linux":

    class FineSelector(selectors.EpollSelector):
        """`EpollSelector` that waits in microseconds."""

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            """See `selectors.BaseSelector.select`."""
            if timeout is not None and timeout > 0 and self.fileno() < _MOST_DESCRIPTOR:
                end = time.monotonic() + timeout
                early = timeout - _LAST_STRETCH_S
                if early <= 0 or not select.select([self.fileno()], [], [], early)[0]:
                    left = max(0.0, end - time.monotonic())
                    select.select([self.fileno()], [], [], left)
                timeout = 0
            return super().select(timeout)

else:
    # kqueue counts in nanoseconds already.
    FineSelector = selectors.DefaultSelector


def fine_event_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop with such timers."""
    return asyncio.SelectorEventLoop(FineSelector())


def on_a_thread(loop: asyncio.AbstractEventLoop) -> AbstractContextManager[BlockingPortal]:
    """Run a loop on a thread of its own for a while; its portal calls functions there."""
    return start_blocking_portal(backend_options={"loop_factory": lambda: loop})
