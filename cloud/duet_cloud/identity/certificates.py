"""X.509 certificates: the authority's, the server's, a device's. Small, as each handshake has two.

ECDSA P-256 throughout: gRPC's BoringSSL offers no Ed25519 in TLS. Names are in the subject
alternative name alone, a device's as its SPIFFE id; only the authority has a subject (RFC 5280,
4.1.2.6). A device's certificate counts three times a handshake, as session tickets carry it, too.
Key identifiers are left out: there is one issuer.
"""

import datetime
import ipaddress
import re
import secrets
from collections.abc import Sequence
from functools import partial

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from duet_cloud.errors import CredentialsError

# Certificates are valid from shortly before they are issued: clocks differ.
BACKDATED = datetime.timedelta(minutes=5)
# Far above any request with one P-256 key.
MOST_SIGNING_REQUEST_BYTES = 4096
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DNS_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
_AUTHORITY_LIFE = datetime.timedelta(days=3650)


def spiffe_id(domain: str, *path: str) -> str:
    """`spiffe://DOMAIN/PATH...` (SPIFFE-ID specification, section 2)."""
    return "/".join((f"spiffe://{domain}", *path))


def is_host(name: str) -> bool:
    """Return whether a server's certificate can hold it as a DNS name or an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return _DNS_NAME.fullmatch(name) is not None
    # A zone ("%eth0") means something on one machine alone.
    return "%" not in name


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def der(certificate: x509.Certificate) -> bytes:
    """Return a certificate as DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as PEM (PKCS #8), not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def serial_text(certificate: x509.Certificate) -> str:
    """Return the serial number as the registry and the logs write it."""
    return f"{certificate.serial_number:018x}"


def authority_certificate(
    key: ec.EllipticCurvePrivateKey, domain: str, now: datetime.datetime
) -> x509.Certificate:
    """Return the authority's own certificate; it signs certificates of end entities only."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"DUET {domain}")])
    builder = _builder(name, name, key.public_key(), now, now + _AUTHORITY_LIFE)
    usage = _usage(digital_signature=False, key_cert_sign=True)
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(_names([spiffe_id(domain)]), critical=False)
        .sign(key, hashes.SHA256())
    )


def _end_entity(
    purpose: x509.ObjectIdentifier,
    issuer: x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
    public_key: ec.EllipticCurvePublicKey,
    names: Sequence[str],
    days: float,
    now: datetime.datetime,
) -> x509.Certificate:
    ends = min(now + datetime.timedelta(days=days), issuer.not_valid_after_utc)
    return (
        _builder(x509.Name([]), issuer.subject, public_key, now, ends)
        .add_extension(_names(names), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


server_certificate = partial(_end_entity, ExtendedKeyUsageOID.SERVER_AUTH)
"""Return a certificate that proves to devices that they talk to the cloud at one of `names`."""
device_certificate = partial(_end_entity, ExtendedKeyUsageOID.CLIENT_AUTH)
"""Return a certificate that proves to the cloud that a device has the URI in `names`."""


def signing_request_key(data: bytes) -> ec.EllipticCurvePublicKey:
    """Return the public key of a PKCS #10 request whose sender proved to have the private key.

    Raises:
        ValueError: malformed, too large, no P-256 key, or the proof does not hold.
    """
    if len(data) > MOST_SIGNING_REQUEST_BYTES:
        raise ValueError(f"more than {MOST_SIGNING_REQUEST_BYTES} bytes")
    request = x509.load_der_x509_csr(data)
    key = request.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("its key is not an ECDSA P-256 key")
    try:
        valid = request.is_signature_valid
    except InvalidSignature:  # pragma: no cover (older releases of cryptography)
        valid = False
    if not valid:
        raise ValueError("its signature does not hold")
    return key


def load_chain(content: bytes, what: str) -> list[x509.Certificate]:
    """Return the certificates of a PEM file, at least one.

    Raises:
        CredentialsError: the file has no certificate, or one is malformed.
    """
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise CredentialsError(f"{what} holds no certificate in PEM") from error


def hosts(certificate: x509.Certificate) -> list[str]:
    """Return the DNS names and addresses of a server's certificate."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [
        *names.get_values_for_type(x509.DNSName),
        *map(str, names.get_values_for_type(x509.IPAddress)),
    ]


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    ends: datetime.datetime,
) -> x509.CertificateBuilder:
    # 71 random bits, above the 64 that the CA/Browser Forum asks for; the leading bit keeps the
    # length, and the number positive.
    serial = int.from_bytes(secrets.token_bytes(9)) >> 1 | 1 << 70
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(now - BACKDATED)
        .not_valid_after(ends)
    )


def _names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    found: list[x509.GeneralName] = []
    for name in names:
        if "://" in name:
            found.append(x509.UniformResourceIdentifier(name))
            continue
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return x509.SubjectAlternativeName(found)


def _usage(*, digital_signature: bool, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
