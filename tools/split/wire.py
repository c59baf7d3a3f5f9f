"""A device's own way to a server over a link, and the bytes that pass on it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc

from device.link import open_channel
from tools.bench.errors import BenchError
from tools.link.emulator import LinkEmulator
from tools.link.profiles import Link

_QUIET_S = 0.2
_SETTLED_WITHIN_S = 10.0


@dataclass(frozen=True)
class Passed:
    """Bytes that TCP carried, its own headers left out. `up`: from the device to the server."""

    up: int = 0
    down: int = 0

    def __add__(self, other: "Passed") -> "Passed":
        return Passed(self.up + other.up, self.down + other.down)

    def __sub__(self, other: "Passed") -> "Passed":
        return Passed(self.up - other.up, self.down - other.down)


class Wire:
    """One device's link: questions asked over it one at a time, each counted."""

    def __init__(self, emulator: LinkEmulator) -> None:
        self._emulator = emulator
        self._counted = Passed()
        self.address = emulator.address

    def taken(self) -> Passed:
        """Bytes since the last call."""
        now = Passed(self._emulator.bytes_up, self._emulator.bytes_down)
        before, self._counted = self._counted, now
        return now - before

    def settle(self, rtt_ms: float) -> None:
        """Waits until nothing more passes: goodbyes trail behind the last message."""
        end = time.monotonic() + _SETTLED_WITHIN_S
        while time.monotonic() < end:
            before = (self._emulator.bytes_up, self._emulator.bytes_down)
            time.sleep(_QUIET_S + rtt_ms / 1e3)
            if before == (self._emulator.bytes_up, self._emulator.bytes_down):
                return


@contextmanager
def wire(target: str, link: Link, seed: int) -> Iterator[Wire]:
    """A link of its own to `target` (host:port)."""
    with LinkEmulator(target, link, seed=seed) as emulator:
        yield Wire(emulator)


def handshake_bytes(
    target: str, link: Link, credentials: grpc.ChannelCredentials | None, timeout_s: float
) -> Passed:
    """Bytes of a connection that stands and asks nothing, its closing included.

    Raises:
        BenchError: it does not stand in time.
    """
    with wire(target, link, seed=0) as way:
        channel = open_channel(way.address, credentials)
        try:
            grpc.channel_ready_future(channel).result(timeout_s)
        except grpc.FutureTimeoutError:
            raise BenchError(f"no link to {target} within {timeout_s:g} s") from None
        finally:
            channel.close()
        way.settle(link.rtt_ms)
        return way.taken()
