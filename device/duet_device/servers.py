"""The servers that a question may be asked at, and the connection to the one that answers first."""

import time
from collections.abc import Callable, Iterator, Sequence

import grpc
from google.protobuf.empty_pb2 import Empty

from duet_contract.connections import connection_states
from duet_device.errors import CloudUnreachable
from duet_device.link_errors import Failure, Kind, device_error

# RFC 8305: how long one connection attempt runs before the next one begins next to it.
_HEAD_START_S = 0.25
# How long a server that failed is tried after the others.
_AVOID_S = 30.0
_HEALTH = "/grpc.health.v1.Health/Check"
_States = Iterator[grpc.ChannelConnectivity | None]


class Server:
    """One server and its channel, which is opened when needed.

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
        self._avoid_until = 0.0

    @property
    def channel(self) -> grpc.Channel:
        """The channel."""
        if self._channel is None:
            assert self._open is not None
            self._channel = self._open()
        return self._channel

    def failed(self) -> None:
        """Prefer other servers for a while, and connect again at once, as gRPC would not."""
        self._avoid_until = time.monotonic() + _AVOID_S
        self.close()

    def close(self) -> None:
        """Close the channel unless it was given; the next use opens another one."""
        if self._open is not None and (channel := self._channel):
            self._channel = None
            channel.close()

    @property
    def is_avoided(self) -> bool:
        """Whether it failed a short time ago."""
        return time.monotonic() < self._avoid_until


def by_preference(servers: Sequence[Server]) -> list[Server]:
    """Return the servers in their order, those that failed a short time ago last."""
    return sorted(servers, key=lambda server: server.is_avoided)


class NotConnected(Exception):
    """No server could be connected to. `failures`: why, for each of them."""

    def __init__(self, failures: dict[Server, Failure]) -> None:
        super().__init__("no connection")
        self.failures = failures


def connect(
    servers: Sequence[Server], timeout_s: float, check: Callable[[], None]
) -> tuple[Server, dict[Server, Failure]]:
    """Connect to the first server that answers; each has a head start over the next.

    Nothing of a question is sent.

    Args:
        servers: at least one, the preferred one first.
        timeout_s: seconds for each.
        check: called often; what it raises ends the attempt.

    Returns:
        The server, and what happened to those that could not be connected to until then.

    Raises:
        NotConnected: none could be connected to.
    """
    waiting = list(servers)
    trying: dict[Server, tuple[_States, float]] = {}
    failures: dict[Server, Failure] = {}
    next_at = 0.0
    while waiting or trying:
        check()
        now = time.monotonic()
        if waiting and (not trying or now >= next_at):
            server = waiting.pop(0)
            trying[server] = connection_states(server.channel), now + timeout_s
            next_at = now + _HEAD_START_S
        for server, (states, end) in list(trying.items()):
            failure: Failure | None = None
            state = next(states, grpc.ChannelConnectivity.SHUTDOWN)
            if state is grpc.ChannelConnectivity.SHUTDOWN:
                failure = _closed(server)
            elif state is grpc.ChannelConnectivity.READY:
                return server, failures
            elif state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                failure = _failure(server, end - time.monotonic())
                if failure is None:
                    return server, failures
            elif time.monotonic() >= end:
                late = f"no cloud at {server.name}: no link within {timeout_s:g} s"
                failure = Failure(Kind.UNREACHED, CloudUnreachable(late))
            if failure:
                failures[server] = failure
                del trying[server]
    raise NotConnected(failures)


def _failure(server: Server, timeout_s: float) -> Failure | None:
    """Return why there is no connection; None if there is one by now.

    Only a call tells. This one holds nothing, as it may reach the server after all.
    """
    try:
        check = server.channel.unary_unary(
            _HEALTH,
            request_serializer=Empty.SerializeToString,
            response_deserializer=Empty.FromString,
        )
        check(Empty(), timeout=max(0.0, timeout_s))
    except ValueError:
        return _closed(server)
    except grpc.RpcError as error:
        if isinstance(error, grpc.Call) and error.code() == grpc.StatusCode.UNAVAILABLE:
            return Failure(Kind.UNREACHED, device_error(error, server.name))
    return None


def _closed(server: Server) -> Failure:
    # Whoever closed it wants no more calls.
    return Failure(Kind.REFUSED, CloudUnreachable(f"the channel to {server.name} was closed"))
