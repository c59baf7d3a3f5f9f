"""What the emulator itself adds to a delay, measured once a process and then taken off.

Waking for a timer and passing bytes on takes about a tenth of a millisecond each way, which is much
of a link of 2 ms.
"""

import contextlib
import functools
import socket
import statistics
import threading
import time

from tools.link.profiles import Direction, Link

_ROUNDS = 25
_DELAY_MS = 1.0
# More is a busy machine's doing, not the emulator's.
_MOST_S = 0.0003


@functools.cache
def own_cost_s() -> float:
    """Seconds that the emulator adds each way; takes about 0.1 s."""
    from tools.link.emulator import LinkEmulator

    slow = Direction(delay_ms=_DELAY_MS)
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_echo, args=(server,), daemon=True).start()
        host, port = server.getsockname()
        bare = _round_trip(f"{host}:{port}")
        link = Link("calibration", slow, slow, "")
        with LinkEmulator(f"{host}:{port}", link, compensate=False) as emulator:
            through = _round_trip(emulator.address)
    added = (through - bare - 2 * _DELAY_MS / 1000) / 2
    return min(max(0.0, added), _MOST_S)


def _round_trip(address: str) -> float:
    host, port = address.rsplit(":", 1)
    times = []
    with socket.create_connection((host, int(port)), timeout=5) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(_ROUNDS):
            began = time.perf_counter()
            client.sendall(b"?")
            client.recv(1)
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def _echo(server: socket.socket) -> None:
    """Answers the two connections of a calibration, one after the other."""
    with contextlib.suppress(OSError):
        for _ in range(2):
            connection, _address = server.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while data := connection.recv(64):
                    connection.sendall(data)
