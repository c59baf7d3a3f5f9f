"""A channel to a server, with the identity that this device has there."""

import duet_contract.channels as channels

# The import above configures TLS before gRPC is imported.
import grpc  # isort: skip
from grpc.experimental import ChannelOptions

from duet_device.identity.credentials import identity_for, parse_address


def open_channel(
    server: str, credentials: grpc.ChannelCredentials | None = None, server_name: str = ""
) -> grpc.Channel:
    """Return a channel to `server` (host:port), with a connection of its own.

    Args:
        server: where the cloud listens.
        credentials: None uses the identity enrolled with that server, or plaintext if there is no
            identity and the server is on this machine.
        server_name: name in the server's certificate, with `credentials`; its host if empty.

    Raises:
        UsageProblem: `server` is not HOST:PORT.
        IdentityProblem: the identity for a remote server is missing, or it cannot be used.
    """
    if credentials is None and (identity := identity_for(server)):
        credentials, server_name = identity.credentials(), identity.server_name
    # The reader of a stream waits for it itself, which saves waking a thread for every chunk.
    options: list[tuple[str, int | str]] = [(ChannelOptions.SingleThreadedUnaryStream, 1)]
    if server_name:
        options.append(("grpc.ssl_target_name_override", server_name))
    return channels.open_channel(parse_address(server), credentials, options)
