"""Enrolls this device: knows the authority by the code's fingerprint, then spends the code."""

import socket
import ssl
from dataclasses import dataclass

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import duet_contract.transport as transport
from device.errors import CloudUnreachable, DeviceError, IdentityProblem, UsageProblem
from device.identity.credentials import Identity, canonical, save_identity, seal_key
from device.identity.signing_request import SigningRequest
from device.link_errors import device_error
from device.signed.publishers import pin, pinned
from duet_contract.enrolment import EnrolmentCode, fingerprint
from duet_contract.errors import ContractError, EnrolmentCodeError
from duet_contract.v1.enrolment_pb2 import EnrollRequest, GetAuthorityRequest
from duet_contract.v1.enrolment_pb2_grpc import EnrolmentServiceStub

_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Enrolled:
    """What came of it. `publishers`: how many keys were pinned."""

    identity: Identity
    publishers: int


def enroll(address: str, code: str, server: str | None = None) -> Enrolled:
    """Spends `code` at `address` (host:port of enrolment) for an identity, and keeps it.

    `server`: where the services are, if not on the port that the cloud names.

    Raises:
        DeviceError: the code is none, the server is not the code's authority's, or it refused.
    """
    try:
        parsed = EnrolmentCode.parse(code)
        transport.require_tls13()
    except EnrolmentCodeError as error:
        raise UsageProblem(str(error)) from error
    except ContractError as error:
        raise IdentityProblem(str(error)) from error
    address = canonical(address)
    server = canonical(server) if server else None
    # What cannot be kept must not cost the code.
    seal_key(server or address, b"")
    pinned()
    leaf = _presented_certificate(address)
    authority = _fetch_authority(address, leaf, parsed)
    request = SigningRequest.new()
    # From here on the server has to prove that it is the authority's.
    roots = x509.load_der_x509_certificate(authority).public_bytes(serialization.Encoding.PEM)
    with _channel(address, roots) as channel:
        try:
            response = EnrolmentServiceStub(channel).Enroll(
                EnrollRequest(secret=parsed.secret, signing_request=request.to_der()),
                timeout=_TIMEOUT_S,
            )
        except grpc.RpcError as error:
            raise _failure(error, address, leaf) from error
    host = address.rpartition(":")[0]
    services = server or canonical(f"{host}:{response.service_port}")
    identity = request.identity(services, response.name, response.certificate, authority)
    save_identity(identity)
    pin(services, tuple(response.publishers))
    return Enrolled(identity, len(response.publishers))


def _presented_certificate(address: str) -> x509.Certificate:
    """The certificate that a server shows; not trusted for anything but to ask which authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        with (
            socket.create_connection((host, int(port)), _TIMEOUT_S) as connection,
            context.wrap_socket(connection, server_hostname=host) as secured,
        ):
            shown = secured.getpeercert(binary_form=True)
        if not shown:
            raise IdentityProblem(f"{address} showed no certificate")
        return x509.load_der_x509_certificate(shown)
    except ssl.SSLError as error:
        raise IdentityProblem(
            f"{address} does not speak TLS 1.3: is it the enrolment port? ({error.reason})"
        ) from error
    except OSError as error:
        why = error.strerror or str(error)
        raise CloudUnreachable(f"no cloud at {address}: {why}") from error
    except ValueError as error:
        raise IdentityProblem(f"{address} showed a malformed certificate") from error


def _fetch_authority(address: str, leaf: x509.Certificate, code: EnrolmentCode) -> bytes:
    """The authority's certificate (DER), which the code's fingerprint proves."""
    with _channel(address, leaf.public_bytes(serialization.Encoding.PEM)) as channel:
        try:
            response = EnrolmentServiceStub(channel).GetAuthority(
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


def _channel(address: str, roots: bytes) -> grpc.Channel:
    options = [("grpc.enable_retries", 0), ("grpc.http2.bdp_probe", 0)]
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(roots), options)


def _failure(error: grpc.RpcError, address: str, leaf: x509.Certificate) -> DeviceError:
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
        host = address.rpartition(":")[0]
        return IdentityProblem(
            f"the server's certificate is not for {host}, but for {', '.join(hosts)}: use one of "
            f"these, or let its operator add it (cloud.admin rotate --host {host} ...)"
        )
    if error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED):
        return IdentityProblem(f"the cloud at {address} refused: {text}")
    return device_error(error, address)
