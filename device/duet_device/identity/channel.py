"""A channel to a server, with the identity that this device has there."""

import duet_contract.channels as channels

# The import above configures TLS before gRPC is imported.
import grpc  # isort: skip
from grpc.experimental import ChannelOptions

from duet_device.identity.credentials import credentials_for, parse_address


def open_channel(server: str, credentials: grpc.ChannelCredentials | None = None) -> grpc.Channel:
    """Return a channel to `server` (host:port), with a connection of its own.

    Args:
        server: where the cloud listens.
        credentials: None uses the identity enrolled with that server, or plaintext if there is no
            identity and the server is on this machine.

    Raises:
        UsageProblem: `server` is not HOST:PORT.
        IdentityProblem: the identity for a remote server is missing, or it cannot be used.
    """
    address = parse_address(server)
    if credentials is None:
        credentials = credentials_for(server, may_be_plaintext=address.is_loopback)
    # The reader of a stream waits for it itself, which saves waking a thread for every chunk.
    return channels.open_channel(
        address, credentials, [(ChannelOptions.SingleThreadedUnaryStream, 1)]
    )


def is_loopback(server: str) -> bool:
    """Return whether `server` (host:port) is on this machine.

    Raises:
        UsageProblem: it is not HOST:PORT.
    """
    return parse_address(server).is_loopback
