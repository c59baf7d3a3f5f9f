"""Authorities and certificates made on the spot, good and bad ones."""

import datetime
import secrets
import socket
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from duet_cloud.identity import authority as authorities
from duet_cloud.identity import certificates
from duet_cloud.server import CloudServer
from tests.doubles.unread import until

PASSPHRASE = "correct horse battery"


@dataclass(frozen=True)
class KeyPair:
    """A private key and its certificate, both PEM."""

    key: bytes
    """The private key."""
    certificate: bytes
    """The certificate."""

    def credentials(self, roots: bytes) -> grpc.ChannelCredentials:
        # Unchecked: some of them are bad, and a server is to say so.
        return grpc.ssl_channel_credentials(roots, self.key, self.certificate)  # noqa: TID251


def make_authority(directory: Path, database: str | None = None) -> authorities.Authority:
    """An authority of its own; its server is called localhost and 127.0.0.1."""
    return authorities.create(
        directory, PASSPHRASE, "test", ["localhost", "127.0.0.1"], url=database
    )


def device(
    authority: authorities.Authority,
    name: str = "laptop",
    roles: tuple[str, ...] = ("inference",),
    begins: float = 0.0,
    ends: float = 1.0,
    register: bool = True,
) -> KeyPair:
    """A device's key and certificate, valid from `begins` to `ends` days from now."""
    key = certificates.new_key()
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=begins)
    uri = f"spiffe://test/device/{name}"
    certificate = certificates.device_certificate(
        authority.certificate, authority.key, key.public_key(), [uri], ends - begins, now
    )
    if register:
        registry = authority.registry
        registry.invite(name, roles, secrets.token_bytes(16), 0, 0)
        registry.add_certificate(
            certificates.serial_text(certificate),
            name,
            int(certificate.not_valid_before_utc.timestamp()),
            int(certificate.not_valid_after_utc.timestamp()),
        )
    return KeyPair(certificates.key_pem(key), certificates.pem(certificate))


def self_signed(name: str = "laptop") -> KeyPair:
    """A self-signed certificate."""
    key = certificates.new_key()
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.UniformResourceIdentifier(f"spiffe://test/device/{name}")]
            ),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )
    return KeyPair(certificates.key_pem(key), certificates.pem(certificate))


def signing_request() -> bytes:
    """PKCS #10 for a fresh key."""
    from duet_device.identity.signing_request import SigningRequest

    return SigningRequest.new().der


def tls(
    port: int,
    version: ssl.TLSVersion,
    client: KeyPair | None = None,
) -> x509.Certificate:
    """Shakes hands with OpenSSL in exactly one TLS version; the server's certificate.

    In TLS 1.3 the server judges the client's certificate after the client is done, so a first read
    shows what it thinks.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    context.minimum_version = context.maximum_version = version
    if client:
        with tempfile.NamedTemporaryFile() as file:
            file.write(client.key + client.certificate)
            file.flush()
            context.load_cert_chain(file.name)
    with (
        socket.create_connection(("127.0.0.1", port), 10) as connection,
        context.wrap_socket(connection) as secured,
    ):
        assert secured.version() == version.name.replace("v1_", "v1.")
        if secured.read(1) == b"":
            raise ssl.SSLError("closed")
        shown = secured.getpeercert(binary_form=True)
        assert shown
        return x509.load_der_x509_certificate(shown)


async def look_again(server: CloudServer) -> None:
    """Waits until a server has looked at its files twice from now on."""
    assert server.security
    credentials, looks = server.security._credentials, 0
    refresh = credentials.refresh

    def counted() -> bool:
        nonlocal looks
        looks += 1
        return refresh()

    credentials.refresh = counted  # type: ignore[method-assign]
    await until(lambda: looks == 2)
    credentials.refresh = refresh  # type: ignore[method-assign]
