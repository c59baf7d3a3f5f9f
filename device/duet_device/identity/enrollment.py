"""Enroll this device: verify the authority by the code's fingerprint, then redeem the code."""

import socket
import ssl
from dataclasses import dataclass

from duet_contract.channels import Pem, open_channel, tls_credentials

# The import above configures TLS before gRPC is imported.
import grpc  # isort: skip
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from duet_contract.addresses import MOST_PORT, Address
from duet_contract.enrollment_codes import EnrollmentCode, fingerprint
from duet_contract.errors import EnrollmentCodeError, TransportError
from duet_contract.keys import PUBLIC_KEY_BYTES
from duet_contract.terminal import one_line
from duet_contract.v1.enrollment_pb2 import EnrollRequest, EnrollResponse, GetAuthorityRequest
from duet_contract.v1.enrollment_pb2_grpc import EnrollmentServiceStub
from duet_device.errors import CloudUnreachable, DeviceError, IdentityProblem, UsageProblem
from duet_device.identity.credentials import Identity, parse_address, save_identity
from duet_device.identity.pending import PendingEnrollment
from duet_device.link_errors import device_error
from duet_device.setting_types import ENROLLMENT_PORT
from duet_device.trust.publishers import pin, pinned

_TIMEOUT_S = 10.0
# Longest message of the cloud that is shown, in characters.
_MOST_SAID = 400
_MOST_NAME = 255
# Far more than any cloud has.
_MOST_PUBLISHERS = 256


@dataclass(frozen=True)
class Enrolled:
    """The result of an enrollment."""

    identity: Identity
    """The new identity."""
    publishers: int
    """Number of publisher keys that were pinned."""


def enroll(address: str, code: str, server: str | None = None) -> Enrolled:
    """Redeem `code` at `address` (host:port of enrollment, or host) for an identity, and store it.

    The disk space that enrollment needs is reserved before the code is sent, and the same code
    sends the same signing request again. So it is safe to repeat a call that failed.

    `server`: address of the services, if not on the port that the cloud names.

    Raises:
        DeviceError: the code is invalid, the server does not belong to the code's authority, or
            the server refused.
    """
    try:
        parsed = EnrollmentCode.parse(code)
    except EnrollmentCodeError as error:
        raise UsageProblem(str(error)) from error
    place = parse_address(address, ENROLLMENT_PORT)
    services = parse_address(server) if server else None
    # A process that cannot read this list cannot write it, either.
    pinned()
    leaf = _presented_certificate(place)
    authority = _fetch_authority(place, leaf, parsed)
    pending = PendingEnrollment.begin(parsed)
    try:
        response = _spend(place, leaf, authority, parsed, pending)
        named = _check(response, place)
        answered = str(services or named)
        identity = pending.request.identity(
            answered, response.name, response.certificate, authority
        ).with_servers(response.servers, response.server_name)
        pending.release()
        try:
            pin(answered, tuple(response.publishers))
            save_identity(identity)
        except DeviceError as error:
            raise IdentityProblem(
                f"{error}; the code is not lost: make room, then repeat this command"
            ) from error
    finally:
        pending.release()
    pending.end()
    return Enrolled(identity, len(response.publishers))


def _spend(
    address: Address,
    leaf: x509.Certificate,
    authority: bytes,
    code: EnrollmentCode,
    pending: PendingEnrollment,
) -> EnrollResponse:
    # From here on the server has to prove that it is the authority's.
    roots = x509.load_der_x509_certificate(authority).public_bytes(serialization.Encoding.PEM)
    with _channel(address, roots, "the authority's certificate") as channel:
        try:
            response: EnrollResponse = EnrollmentServiceStub(channel).Enroll(
                EnrollRequest(secret=code.secret, signing_request=pending.request.der),
                timeout=_TIMEOUT_S,
            )
        except grpc.RpcError as error:
            failure = _failure(error, address, leaf)
            if _is(error, grpc.StatusCode.UNAUTHENTICATED):
                pending.end()
                raise failure from error
            raise type(failure)(
                f"{failure}; the code may be sent again: repeat this command"
            ) from error
    return response


def _check(response: EnrollResponse, address: Address) -> Address:
    """Check what the cloud says; where its services are."""
    if not 0 < response.service_port <= MOST_PORT:
        raise IdentityProblem(f"the cloud at {address} named a port {response.service_port}")
    if len(response.name) > _MOST_NAME or not response.name.isprintable():
        raise IdentityProblem(f"the cloud at {address} gave this device no valid name")
    if len(response.publishers) > _MOST_PUBLISHERS or any(
        len(key) != PUBLIC_KEY_BYTES for key in response.publishers
    ):
        raise IdentityProblem(f"the cloud at {address} sent a malformed list of publishers")
    return Address(address.host, response.service_port)


def _presented_certificate(address: Address) -> x509.Certificate:
    """Return a server's certificate, not verified; it only serves to ask for the authority's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((address.host, address.port), _TIMEOUT_S) as connection,
            context.wrap_socket(connection, server_hostname=address.host) as secured,
        ):
            shown = secured.getpeercert(binary_form=True)
        if not shown:
            raise IdentityProblem(f"{address} presented no certificate")
        return x509.load_der_x509_certificate(shown)
    except ssl.SSLError as error:
        raise IdentityProblem(
            f"{address} does not speak TLS 1.3: is it the enrollment port? ({error.reason})"
        ) from error
    except OSError as error:
        why = error.strerror or str(error)
        raise CloudUnreachable(f"no cloud at {address}: {why}") from error
    except ValueError as error:
        raise IdentityProblem(f"{address} presented a malformed certificate") from error


def _fetch_authority(address: Address, leaf: x509.Certificate, code: EnrollmentCode) -> bytes:
    """Return the authority's certificate (DER), which the code's fingerprint proves."""
    shown = leaf.public_bytes(serialization.Encoding.PEM)
    with _channel(address, shown, f"the certificate of {address}") as channel:
        try:
            response = EnrollmentServiceStub(channel).GetAuthority(
                GetAuthorityRequest(), timeout=_TIMEOUT_S
            )
        except grpc.RpcError as error:
            raise _failure(error, address, leaf) from error
    if fingerprint(response.authority) != code.fingerprint:
        raise IdentityProblem(
            f"{address} is not the server that the code is for: its authority has another "
            "fingerprint. Nothing was sent; ask the operator whether address and code are right"
        )
    return response.authority


def _channel(address: Address, roots: bytes, name: str) -> grpc.Channel:
    try:
        return open_channel(address, tls_credentials(Pem(roots, name)))
    except TransportError as error:
        raise IdentityProblem(str(error)) from error


def _is(error: grpc.RpcError, *codes: grpc.StatusCode) -> bool:
    return isinstance(error, grpc.Call) and error.code() in codes


def _failure(error: grpc.RpcError, address: Address, leaf: x509.Certificate) -> DeviceError:
    assert isinstance(error, grpc.Call)
    text = error.details() or ""
    if error.code() == grpc.StatusCode.UNAVAILABLE and "Hostname Verification" in text:
        try:
            names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            names = x509.SubjectAlternativeName([])
        hosts = [
            *names.get_values_for_type(x509.DNSName),
            *map(str, names.get_values_for_type(x509.IPAddress)),
        ]
        host = address.host
        return IdentityProblem(
            f"the server's certificate is not for {host}, but for {', '.join(hosts)}: use one of "
            f"these, or let its operator add it (duet-cloud admin rotate --host {host} ...)"
        )
    if _is(error, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED):
        return IdentityProblem(f"the cloud at {address} refused: {one_line(text)[:_MOST_SAID]}")
    if _is(error, grpc.StatusCode.DEADLINE_EXCEEDED):
        return CloudUnreachable(f"the cloud at {address} did not answer within {_TIMEOUT_S:g} s")
    return device_error(error, str(address))
