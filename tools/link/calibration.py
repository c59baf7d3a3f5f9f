"""What passing a segment costs the emulator itself, measured once a process, taken off every delay.

A thread that sleeps is woken some 0.1 ms late, and reading and passing on takes some 0.05 ms; both
once each way, which is much of a link of 2 ms.
"""

import asyncio
import functools
import socket
import statistics

from tools.link.fine_selector import fine_event_loop

_ROUNDS = 25
_SLEEP_S = 0.001
# More is a busy machine's doing, and passes.
_MOST_S = 0.0003


@functools.cache
def own_cost_s() -> float:
    """Seconds that each way takes by itself, the median; measuring takes about 30 ms.

    To be called where no event loop runs.
    """
    loop = fine_event_loop()
    near, far = socket.socketpair()
    try:
        late = statistics.median(_late(loop) for _ in range(_ROUNDS))
        passing = statistics.median(_passing(loop, near, far) for _ in range(_ROUNDS))
    finally:
        loop.close()
        near.close()
        far.close()
    return min(max(0.0, late + passing), _MOST_S)


def _late(loop: asyncio.AbstractEventLoop) -> float:
    """How late a timer is."""
    due = loop.time() + _SLEEP_S
    loop.call_at(due, loop.stop)
    loop.run_forever()
    return loop.time() - due


def _passing(loop: asyncio.AbstractEventLoop, near: socket.socket, far: socket.socket) -> float:
    """From a write until its bytes are read."""

    def read() -> None:
        far.recv(1)
        loop.stop()

    began = loop.time()
    near.send(b"?")
    loop.add_reader(far, read)
    loop.run_forever()
    loop.remove_reader(far)
    return loop.time() - began
