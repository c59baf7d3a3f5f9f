"""Connections of the devices that a run plays: one for each question, or one kept by each device."""

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar, cast

import grpc
import httpx

from duet_device.identity.channel import open_channel
from duet_tools.split.endpoint import Endpoint

_Opened = TypeVar("_Opened", grpc.Channel, httpx.Client)


class Connections:
    """Opens connections, and keeps them if a run says so; several threads may use it.

    A kept connection is known by the near end of the link that it passes, which one device has for
    itself: its questions come one after another.
    """

    def __init__(self, *, kept: bool = False) -> None:
        self.kept = kept
        self._lock = threading.Lock()
        self._there: dict[Hashable, Any] = {}
        self._stack = ExitStack()

    @contextmanager
    def channel(
        self, near: str, credentials: grpc.ChannelCredentials | None
    ) -> Iterator[grpc.Channel]:
        """A channel to the service at the near end of a link, HOST:PORT.

        Raises:
            DeviceError: see `duet_device.identity.channel.open_channel`.
        """
        with self._opened(("grpc", near), lambda: open_channel(near, credentials)) as channel:
            yield channel

    @contextmanager
    def http(self, near: str, endpoint: Endpoint, timeout: httpx.Timeout) -> Iterator[httpx.Client]:
        """A client of an OpenAI server, through the near end of a link to it."""
        with self._opened(("http", near), lambda: endpoint.client(near, timeout)) as client:
            yield client

    def close(self) -> None:
        """Close those that were kept."""
        with self._lock:
            self._there.clear()
            self._stack.close()

    @contextmanager
    def _opened(self, key: Hashable, make: Callable[[], _Opened]) -> Iterator[_Opened]:
        if not self.kept:
            with make() as new:
                yield new
            return
        with self._lock:
            if key not in self._there:
                self._there[key] = self._stack.enter_context(make())
        yield cast("_Opened", self._there[key])
