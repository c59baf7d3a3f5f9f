"""An event loop whose timers are exact to tens of microseconds.

`epoll_wait` counts in milliseconds and asyncio rounds up, which on a link of 2 ms would be most of
the delay. An epoll descriptor can itself be waited for with `select`, which counts in microseconds.
"""

import asyncio
import select
import selectors
import sys

# What `select` can take (FD_SETSIZE).
_MOST_DESCRIPTOR = 1024

if sys.platform == "linux":

    class FineSelector(selectors.EpollSelector):
        """`EpollSelector` that waits in microseconds."""

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            """See `selectors.BaseSelector.select`."""
            if timeout is not None and timeout > 0 and self.fileno() < _MOST_DESCRIPTOR:
                select.select([self.fileno()], [], [], timeout)
                timeout = 0
            return super().select(timeout)

else:
    # kqueue counts in nanoseconds already.
    FineSelector = selectors.DefaultSelector


def fine_event_loop() -> asyncio.AbstractEventLoop:
    """An event loop with such timers."""
    return asyncio.SelectorEventLoop(FineSelector())
