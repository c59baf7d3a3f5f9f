"""How late this machine's timers are, measured once a process and then taken off every delay.

A thread that sleeps is woken some 0.1 ms late, once each way, which is much of a link of 2 ms.
"""

import asyncio
import functools
import statistics

from tools.link.fine_selector import fine_event_loop

_ROUNDS = 25
_SLEEP_S = 0.001
# More is a busy machine's doing, and passes.
_MOST_S = 0.0003


@functools.cache
def timer_lateness_s() -> float:
    """Seconds that a timer is late, the median; takes about 30 ms and needs no running loop."""
    loop = fine_event_loop()
    try:
        lateness = [_late(loop) for _ in range(_ROUNDS)]
    finally:
        loop.close()
    return min(max(0.0, statistics.median(lateness)), _MOST_S)


def _late(loop: asyncio.AbstractEventLoop) -> float:
    due = loop.time() + _SLEEP_S
    loop.call_at(due, loop.stop)
    loop.run_forever()
    return loop.time() - due
