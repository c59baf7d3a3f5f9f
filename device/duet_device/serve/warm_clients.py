"""Keep clients warm: decoder loaded, connected, and the beginning of every prompt evaluated."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from duet_contract.manifest import MANIFEST_NAME, SIGNATURE_NAME
from duet_contract.pairs import find_pair
from duet_device.ask_request import AskRequest
from duet_device.asking import open_client
from duet_device.client import Client
from duet_device.home import home
from duet_device.pairs.pair import Pair, chosen_pair

# Each holds a decoder in memory.
MOST_CLIENTS = 2

_Key = tuple[str, str, int | None, bool]
_Stamp = tuple[tuple[int, ...] | None, ...]


@dataclass
class _Warm:
    """An open client and its use."""

    client: Client
    """The client, with its decoder loaded."""
    stamp: _Stamp
    """State of the files that decide how it answers, when it was opened."""
    users: int = 0
    """Number of requests that use it."""
    current: bool = True
    """Whether new requests may get it."""


class WarmClients:
    """Clients by pair and server. May be used from several threads.

    A client is opened again if files changed that decide how it answers: the pair, its signature,
    trusted publishers, identities.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # The one used last is the last.
        self._warm: dict[_Key, _Warm] = {}
        self._closed = False

    @contextmanager
    def using(self, request: AskRequest, *, alone: bool = False) -> Iterator[Client]:
        """Lend a client of a request's pair and server; it is not closed meanwhile.

        Args:
            request: names them.
            alone: lend it to no other request until this one ends. A client answers one question at
                a time, and the others would wait for all of a batch; they get another client.

        Raises:
            ModelProblem: the pair's manifest cannot be used.
            PairNotFoundError: there is no such pair.
        """
        # However the pair is named, its decoder is loaded once.
        directory = os.path.realpath(find_pair(chosen_pair(request.pair)))
        key = (directory, request.server, request.threads, request.allow_unsigned)
        with self._lock:
            warm = self._warm.pop(key, None)
            if warm and _stamp(warm.client.pair) != warm.stamp:
                self._retire(warm)
                warm = None
            if warm and alone and warm.users:
                self._warm[key] = warm
                warm = None
            if warm is None:
                client = open_client(request._replace(pair=directory))
                warm = _Warm(client, _stamp(client.pair))
            if not alone:
                self._warm[key] = warm
            warm.users += 1
        try:
            yield warm.client
        finally:
            with self._lock:
                warm.users -= 1
                if alone and key not in self._warm and not self._closed:
                    self._warm[key] = warm
                elif alone or (not warm.users and not warm.current):
                    warm.client.close()
                self._evict()

    def close(self) -> None:
        """Stop every question, and free decoders and connections.

        A client that is lent alone is closed at the end of its request.
        """
        with self._lock:
            self._closed = True
            warm, self._warm = list(self._warm.values()), {}
        for each in warm:
            each.client.close()

    def _evict(self) -> None:
        idle = [key for key, warm in self._warm.items() if not warm.users]
        for key in idle[: max(0, len(self._warm) - MOST_CLIENTS)]:
            self._retire(self._warm.pop(key))

    def _retire(self, warm: _Warm) -> None:
        warm.current = False
        if not warm.users:
            warm.client.close()


def _stamp(pair: Pair) -> _Stamp:
    """Return a value that changes if a file changes on which a client's answers depend."""
    there = home(create=False)
    identities = sorted((there / "identities").glob("*.json"))
    own = [MANIFEST_NAME, SIGNATURE_NAME, *(file.path for file in pair.manifest.device_files)]
    files = [*(pair.directory / name for name in own), there / "publishers.json", *identities]
    return tuple(_stat(file) for file in files)


def _stat(path: Path) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 (a hundred times in a second, perhaps)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
