"""The servers that a question may be asked at, and the connection to the one that answers first."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import grpc
from google.protobuf.empty_pb2 import Empty

from duet_contract.connections import connection_states
from duet_contract.console import signals_held
from duet_device.errors import CloudUnreachable
from duet_device.link_errors import Failure, Kind, device_error, was_accepted

# RFC 8305: how long one connection attempt runs before the next one begins next to it.
_HEAD_START_S = 0.25
# How long a server that failed is tried after the others.
_AVOID_S = 30.0
_HEALTH = "/grpc.health.v1.Health/Check"


class Server:
    """One server and its channel, which is opened when needed and shared by concurrent questions.

    Args:
        name: its address in messages.
        open_channel: opens a channel to it.
        channel: an open one to use instead; its owner closes it.
    """

    def __init__(
        self,
        name: str,
        open_channel: Callable[[], grpc.Channel] | None = None,
        *,
        channel: grpc.Channel | None = None,
    ) -> None:
        self.name = name
        self._open = open_channel
        self._channel = channel
        self._users: Counter[grpc.Channel] = Counter()
        self._lock = threading.Lock()
        self._avoid_until = 0.0

    @property
    def is_avoided(self) -> bool:
        """Whether it failed a short time ago."""
        return time.monotonic() < self._avoid_until

    def acquire(self) -> grpc.Channel:
        """Return the channel for one call; call `release` after it."""
        with self._lock:
            if self._channel is None:
                assert self._open is not None
                self._channel = self._open()
            self._users[self._channel] += 1
            return self._channel

    def release(self, channel: grpc.Channel, *, failed: bool = False) -> None:
        """End the use of a channel.

        Args:
            channel: what `acquire` returned.
            failed: whether to prefer other servers for a while, and to open another channel for the
                next call: gRPC would wait before it connects again.
        """
        with self._lock:
            self._users[channel] -= 1
            if failed:
                self._avoid_until = time.monotonic() + _AVOID_S
                if self._open is not None and channel is self._channel:
                    self._channel = None
            unused = not self._users[channel]
            if unused:
                del self._users[channel]
            unwanted = self._open is not None and channel is not self._channel
        if unused and unwanted:
            channel.close()

    def close(self) -> None:
        """Close every channel that was opened; the next use opens another one."""
        with self._lock:
            channels = {*self._users, *([self._channel] if self._channel else [])}
            if self._open is None:
                return
            self._channel = None
        with signals_held():
            for channel in channels:
                channel.close()


def by_preference(servers: Sequence[Server]) -> list[Server]:
    """Return the servers in their order, those that failed a short time ago last."""
    return sorted(servers, key=lambda server: server.is_avoided)


class NotConnected(Exception):
    """No server could be connected to. `failures`: why, for each of them."""

    def __init__(self, failures: dict[Server, Failure]) -> None:
        super().__init__("no connection")
        self.failures = failures


@dataclass(frozen=True)
class Connected:
    """A connection that is ready."""

    server: Server
    """The server."""
    channel: grpc.Channel
    """Its channel, acquired: to be released after the call."""
    failures: dict[Server, Failure]
    """What happened to servers that could not be connected to until then."""


def connect(servers: Sequence[Server], timeout_s: float, check: Callable[[], None]) -> Connected:
    """Connect to the first server that answers; each has a head start over the next.

    Nothing of a question is sent.

    Args:
        servers: at least one, the preferred one first.
        timeout_s: seconds for each.
        check: called often; what it raises ends the attempt.

    Raises:
        NotConnected: none could be connected to.
    """
    waiting = list(servers)
    trying: dict[Server, _Attempt] = {}
    failures: dict[Server, Failure] = {}
    next_at = 0.0
    try:
        while waiting or trying:
            check()
            now = time.monotonic()
            if waiting and (not trying or now >= next_at):
                server = waiting.pop(0)
                trying[server] = _Attempt(server, timeout_s)
                next_at = now + _HEAD_START_S
            for server, attempt in list(trying.items()):
                result = attempt.look()
                if result is None:
                    continue
                del trying[server]
                if isinstance(result, grpc.Channel):
                    late = [each for each in trying if servers.index(each) < servers.index(server)]
                    for each in late:
                        # It had a head start: the next question begins elsewhere.
                        each.release(trying.pop(each).channel, failed=True)
                    return Connected(server, result, failures)
                server.release(attempt.channel, failed=True)
                failures[server] = result
        raise NotConnected(failures)
    finally:
        for server, attempt in trying.items():
            server.release(attempt.channel)


class _Attempt:
    """One connection attempt."""

    def __init__(self, server: Server, timeout_s: float) -> None:
        self.channel = server.acquire()
        self._server = server
        self._timeout_s = timeout_s
        self._end = time.monotonic() + timeout_s
        self._states = connection_states(self.channel)

    def look(self) -> grpc.Channel | Failure | None:
        """Return the channel once it is ready, what went wrong, or None meanwhile."""
        match next(self._states, grpc.ChannelConnectivity.SHUTDOWN):
            case grpc.ChannelConnectivity.READY:
                return self.channel
            case grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                return self._failure() or self.channel
            case grpc.ChannelConnectivity.SHUTDOWN:
                return _closed(self._server)
        if time.monotonic() < self._end:
            return None
        late = f"no cloud at {self._server.name}: no link within {self._timeout_s:g} s"
        return Failure(Kind.UNREACHED, CloudUnreachable(late))

    def _failure(self) -> Failure | None:
        """Return why there is no connection; None if there is one by now.

        Only a call tells. This one holds nothing, as it may reach the server after all.
        """
        try:
            check = self.channel.unary_unary(
                _HEALTH,
                request_serializer=Empty.SerializeToString,
                response_deserializer=Empty.FromString,
            )
            check(Empty(), timeout=max(0.0, self._end - time.monotonic()))
        except ValueError:
            return _closed(self._server)
        except grpc.RpcError as error:
            if isinstance(error, grpc.Call) and error.code() == grpc.StatusCode.UNAVAILABLE:
                # There is a server: a link that broke so early works the next time.
                kind = Kind.LOST if was_accepted(error) else Kind.UNREACHED
                return Failure(kind, device_error(error, self._server.name))
        return None


def _closed(server: Server) -> Failure:
    # Whoever closed it wants no more calls.
    return Failure(Kind.REFUSED, CloudUnreachable(f"the channel to {server.name} was closed"))
