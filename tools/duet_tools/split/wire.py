"""A device's own link to a server, and the bytes that pass on it."""

import itertools
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import grpc

from duet_contract.connections import wait_until_connected
from duet_device.identity.channel import open_channel
from duet_tools.errors import BenchError
from duet_tools.link.profiles import Link, link_named
from duet_tools.link.relay import Count, settled
from duet_tools.subjects.children import Child

_QUIET_S = 0.2


class Ways:
    """The process that links live in (`duet_tools.split.ways`); started when first needed.

    Use as a context manager; several threads may.
    """

    def __init__(self) -> None:
        self._child: Child | None = None
        self._lock = threading.Lock()
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._child:
            self._child.stop()

    @contextmanager
    def open(self, target: str, link: Link, seed: int) -> "Iterator[Wire]":
        """A link of its own to `target` (host:port).

        Raises:
            BenchError: the process cannot be started, or it cannot listen.
        """
        number = next(self._numbers)
        opened = self.tell(do="open", number=number, target=target, link=link.name, seed=seed)
        try:
            yield Wire(self, number, opened["address"])
        finally:
            self.tell(do="close", number=number)

    def tell(self, **command: object) -> dict[str, Any]:
        """Give the process a command; return its answer.

        Raises:
            BenchError: it failed, or the process ended.
        """
        with self._lock:
            if self._child is None:
                self._child = Child(
                    "the links' process",
                    [sys.executable, "-m", "duet_tools.split.ways"],
                    talks=True,
                )
            self._child.tell(command)
            answer: dict[str, Any] = self._child.hear()
        if "error" in answer:
            raise BenchError(answer["error"])
        return answer


class Wire:
    """One device's link: questions asked over it one at a time, each counted."""

    def __init__(self, ways: Ways, number: int, address: str) -> None:
        self._ways = ways
        self._number = number
        self._counted = Count()
        self.address = address

    def taken(self) -> Count:
        """Return bytes since the last call."""
        now = self._count()
        before, self._counted = self._counted, now
        return now - before

    def settle(self, rtt_ms: float) -> None:
        """Wait until no more bytes pass: closing frames follow the last message."""
        settled(self._count, _QUIET_S + rtt_ms / 1e3)

    def _count(self) -> Count:
        answer = self._ways.tell(do="count", number=self._number)
        return Count(answer["up"], answer["down"])


def handshake_bytes(
    ways: Ways, target: str, credentials: grpc.ChannelCredentials | None, timeout_s: float
) -> Count:
    """Return the bytes of a connection without a question, its closing included.

    Raises:
        BenchError: it does not open in time.
    """
    with ways.open(target, link_named("none"), seed=0) as way:
        channel = open_channel(way.address, credentials)
        try:
            if not wait_until_connected(channel, timeout_s):
                raise BenchError(f"no link to {target} within {timeout_s:g} s")
        finally:
            channel.close()
        way.settle(0.0)
        return way.taken()
