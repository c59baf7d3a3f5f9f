"""Links of the devices that a run plays, each with a count of the bytes that pass on it.

They are in a process of their own, so that relaying takes no time from the measuring process: it
reads commands as lines of JSON (`open` a link to a target, `count` its bytes, `close` it) and
answers each with a line.
"""

import itertools
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from duet_tools.errors import BenchError
from duet_tools.link.emulator import LinkEmulator
from duet_tools.link.profiles import LinkProfile, link_named
from duet_tools.link.relay import Count, Relay, settled
from duet_tools.subjects.children import Child

_QUIET_S = 0.2


class LinkPool:
    """The process of the links; started when first needed.

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
    def open(self, target: str, link: LinkProfile, seed: int) -> "Iterator[DeviceLink]":
        """A link of its own to `target` (host:port).

        Raises:
            BenchError: the process cannot be started, or it cannot listen.
        """
        number = next(self._numbers)
        opened = self.tell(do="open", number=number, target=target, link=link.name, seed=seed)
        try:
            yield DeviceLink(self, number, opened["address"])
        finally:
            self.tell(do="close", number=number)

    def tell(self, **command: object) -> dict[str, Any]:
        """Give the process a command; return its answer.

        Raises:
            BenchError: it failed, or the process ended.
        """
        with self._lock:
            if self._child is None:
                program = [sys.executable, "-m", __name__]
                self._child = Child("the links' process", program, talks=True)
            self._child.tell(command)
            answer: dict[str, Any] = self._child.hear()
        if "error" in answer:
            raise BenchError(answer["error"])
        return answer


class DeviceLink:
    """One device's link: questions asked over it one at a time, each counted."""

    def __init__(self, pool: LinkPool, number: int, address: str) -> None:
        self._pool = pool
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
        answer = self._pool.tell(do="count", number=self._number)
        return Count(answer["up"], answer["down"])


def main() -> None:
    """Serve commands until stdin ends."""
    opened: dict[int, LinkEmulator | Relay] = {}
    for line in sys.stdin:
        try:
            answer = _do(json.loads(line), opened)
        except (BenchError, OSError) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)
    for number in list(opened):
        _do({"do": "close", "number": number}, opened)


def _do(command: dict[str, Any], opened: dict[int, LinkEmulator | Relay]) -> dict[str, Any]:
    number = command["number"]
    if command["do"] == "open":
        target, profile = command["target"], link_named(command["link"])
        link: LinkEmulator | Relay = Relay(target)
        if profile.name != "none":
            link = LinkEmulator(target, profile, seed=command["seed"])
        opened[number] = link.__enter__()
        return {"address": link.address}
    if command["do"] == "close":
        opened.pop(number).__exit__(None, None, None)
        return {}
    count = opened[number].count
    return {"up": count.up, "down": count.down}


if __name__ == "__main__":
    main()
