"""A channel to a server, with the identity that this device has there."""

import ipaddress

import grpc
from grpc.experimental import ChannelOptions

from device.identity.credentials import credentials_for

# Pieces are far smaller.
_MOST_MESSAGE_BYTES = 1 << 20


def open_channel(server: str, credentials: grpc.ChannelCredentials | None = None) -> grpc.Channel:
    """A channel to `server` (host:port), with a connection of its own.

    Args:
        server: where the cloud listens.
        credentials: those of the identity enrolled with that server, if None; plaintext only where
            there is none and the server is on this machine.

    Raises:
        IdentityProblem: there is none for a server elsewhere, or it cannot be used.
    """
    if credentials is None:
        credentials = credentials_for(server, may_be_plaintext=is_loopback(server))
    options: list[tuple[str, int]] = [
        # Retrying is decided in `device.link`, which knows whether anything was computed already.
        ("grpc.enable_retries", 0),
        # Bandwidth probes cost more bytes than a signal has.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.max_receive_message_length", _MOST_MESSAGE_BYTES),
        # Whoever reads a stream waits for it itself: one thread to wake less for every piece.
        (ChannelOptions.SingleThreadedUnaryStream, 1),
        # gRPC would hand the connection of a channel that is still closing to the next one, or not,
        # as the race goes: who wants a connection kept keeps the channel.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if is_loopback(server):
        options.append(("grpc.enable_http_proxy", 0))
    if credentials is None:
        return grpc.insecure_channel(server, options)
    return grpc.secure_channel(server, credentials, options)


def is_loopback(server: str) -> bool:
    """Whether `server` (host:port) is on this machine."""
    host = server.rsplit(":", 1)[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
