"""A channel to a server, with the identity that this device has there."""

import duet_contract.channels as channels

# Above, TLS is settled before gRPC is imported.
import grpc  # isort: skip
from grpc.experimental import ChannelOptions

from duet_device.identity.credentials import credentials_for, parse_address


def open_channel(server: str, credentials: grpc.ChannelCredentials | None = None) -> grpc.Channel:
    """A channel to `server` (host:port), with a connection of its own.

    Args:
        server: where the cloud listens.
        credentials: those of the identity enrolled with that server, if None; plaintext only where
            there is none and the server is on this machine.

    Raises:
        UsageProblem: `server` is not HOST:PORT.
        IdentityProblem: there is none for a server elsewhere, or it cannot be used.
    """
    address = parse_address(server)
    if credentials is None:
        credentials = credentials_for(server, may_be_plaintext=address.is_loopback)
    # Whoever reads a stream waits for it itself: one thread to wake less for every chunk.
    return channels.open_channel(
        address, credentials, [(ChannelOptions.SingleThreadedUnaryStream, 1)]
    )


def is_loopback(server: str) -> bool:
    """Whether `server` (host:port) is on this machine.

    Raises:
        UsageProblem: it is not HOST:PORT.
    """
    return parse_address(server).is_loopback
