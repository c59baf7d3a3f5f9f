"""Renew this device's certificate once half of its life has passed."""

import time
from collections.abc import Callable

from duet_device.errors import DeviceError
from duet_device.identity.credentials import Identity, identity_for, save_identity

_TIMEOUT_S = 5.0
# A failed renewal is reported when this part of the certificate's life is left.
_TELL_LEFT = 0.25


def renew_if_due(server: str, note: Callable[[str], None]) -> bool:
    """Renew the identity for `server` if it is due; return whether it did. Only note failures."""
    identity = None
    try:
        identity = identity_for(server)
        if identity is None or not identity.due:
            return False
        renew(identity, server)
    except DeviceError as error:
        if identity and (identity.ends - time.time()) < _TELL_LEFT * (
            identity.ends - identity.begins
        ):
            ends = time.strftime("%Y-%m-%d %H:%M", time.gmtime(identity.ends))
            note(f"the certificate ends on {ends} UTC and could not be renewed: {error}")
        return False
    return True


def renew(identity: Identity, server: str | None = None) -> Identity:
    """Get a certificate for a new key, over a link with the present one, and store it.

    Args:
        identity: to be renewed.
        server: one of its servers; the one that it is enrolled with, if None.

    Raises:
        DeviceError: the cloud cannot be reached or refused, or the certificate cannot be stored.
    """
    import grpc
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    from duet_contract.v1.enrollment_pb2 import RenewRequest
    from duet_contract.v1.enrollment_pb2_grpc import IdentityServiceStub
    from duet_device.identity.channel import open_channel
    from duet_device.identity.signing_request import SigningRequest
    from duet_device.link_errors import device_error

    request = SigningRequest.new()
    server = server or identity.server
    with open_channel(server, identity.credentials(), identity.server_name) as channel:
        try:
            response = IdentityServiceStub(channel).Renew(
                RenewRequest(signing_request=request.der), timeout=_TIMEOUT_S
            )
        except grpc.RpcError as error:
            raise device_error(error, server) from error
    authority = x509.load_pem_x509_certificate(identity.authority.encode())
    renewed = request.identity(
        identity.server,
        identity.name,
        response.certificate,
        authority.public_bytes(serialization.Encoding.DER),
    )
    if response.servers:
        renewed = renewed.with_servers(response.servers, response.server_name)
    else:
        renewed = renewed.with_servers(identity.servers, identity.server_name)
    save_identity(renewed)
    return renewed
