"""What passing a segment costs the emulator itself, measured once a process, taken off every delay.

A thread that waits for a socket or a timer is woken late, and reading and passing on takes its
time: some 0.2 ms each way, which is much of a link of 2 ms.
"""

import asyncio
import functools
import socket
import statistics
import time

from anyio.from_thread import BlockingPortal

from duet_tools.link.connection import Connection
from duet_tools.link.direction import SharedDirection
from duet_tools.link.fine_selector import fine_event_loop, on_a_thread
from duet_tools.link.profiles import Direction

_ROUNDS = 30
_DELAY_MS = 3.0
# More is a busy machine's doing, and passes.
_MOST_S = 0.00025


@functools.cache
def own_cost_s() -> float:
    """Return the seconds that each direction adds to its delay; measuring takes about 0.1 s.

    This is the lower quartile, since the caller, too, is woken late and other processes delay it.
    """
    loop = fine_event_loop()
    with on_a_thread(loop) as portal:
        late = statistics.quantiles(_late(loop, portal), n=4)[0]
    return min(max(0.0, late), _MOST_S)


def _late(loop: asyncio.AbstractEventLoop, portal: BlockingPortal) -> list[float]:
    """Return the lateness of some bytes on a connection without the correction."""
    up, down = (SharedDirection(Direction(delay_ms=_DELAY_MS), loop) for _ in range(2))
    late = []
    with socket.create_server(("127.0.0.1", 0)) as target:
        server = portal.call(
            lambda: loop.create_server(
                lambda: Connection(target.getsockname(), up, down, "", lambda _: None).client,
                "127.0.0.1",
                0,
            )
        )
        with socket.create_connection(server.sockets[0].getsockname()) as near:
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            far, _address = target.accept()
            with far:
                for _ in range(_ROUNDS):
                    began = time.perf_counter()
                    near.sendall(b"?")
                    far.recv(1)
                    late.append(time.perf_counter() - began - _DELAY_MS / 1000)
        portal.call(server.close)
    return late
