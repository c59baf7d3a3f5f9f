"""Open every gRPC channel of the project: device, tools and tests use only this module.

- A channel to this machine ignores proxies.
- The target is an address that was parsed, never text that gRPC could read as another scheme.
- Certificates and keys are parsed and checked before gRPC sees them, since gRPC ends the whole
  process for some that are malformed.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

import duet_contract.transport as transport

# Configures TLS before gRPC is imported.
import grpc  # isort: skip
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from duet_contract.addresses import Address
from duet_contract.errors import CertificateExpired, TransportError

Options = Sequence[tuple[str, int | str]]
MOST_MESSAGE_BYTES = 1 << 20
"""Limit of a received message; chunks of signals and files are far smaller."""
ASKED_BEFORE = ("duet-asked-before", "true")
"""Metadata of a call for a question that a call before did not serve: there, or at another server."""
_PING: Options = (
    # While a call runs and nothing arrives, a ping after 5 s; it and its answer have 17 bytes each.
    # The connection is closed if no answer comes within `ping_timeout_ms`, a minute by default:
    # that decides (measured with gRPC 1.85), not the keepalive's own timeout.
    ("grpc.keepalive_time_ms", 5_000),
    # gRPC's default sends two pings, then one a minute until the call sends data again.
    ("grpc.http2.max_pings_without_data", 0),
)
SERVER_KEEPALIVE: Options = (
    *_PING,
    # Of Linux alone (`TCP_USER_TIMEOUT`, tcp(7)): the connection ends if what was sent is not
    # acknowledged for this long. A link that is gone acknowledges nothing, however slow it was.
    ("grpc.keepalive_timeout_ms", 8_000),
    # An answer waits behind a file's data in flight: two messages of 64 KiB, 20 s at 52 kbit/s.
    ("grpc.http2.ping_timeout_ms", 20_000),
    # Below the clients' interval, whatever the network does to their pings: gRPC's default is 5
    # minutes, and the third ping that comes sooner closes the connection.
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
)
"""Channel arguments of a server whose clients use `open_channel` or `open_aio_channel`."""
_COMMON: Options = (
    *_PING,
    ("grpc.http2.ping_timeout_ms", 5_000),
    # The caller decides about retries, since it knows whether anything was computed already.
    ("grpc.enable_retries", 0),
    # Bandwidth probes cost more bytes than a signal has.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.max_receive_message_length", MOST_MESSAGE_BYTES),
    # Otherwise a race decides whether gRPC reuses the connection of a channel that is closing. A
    # caller that wants to reuse a connection keeps the channel.
    ("grpc.use_local_subchannel_pool", 1),
)


def open_channel(
    address: Address | str,
    credentials: grpc.ChannelCredentials | None = None,
    options: Options = (),
) -> grpc.Channel:
    """Open a channel with a connection of its own.

    Args:
        address: where the server listens, or HOST:PORT.
        credentials: of `tls_credentials`; plaintext if None.
        options: gRPC channel arguments, in addition to the project's.

    Raises:
        AddressError: the address is not HOST:PORT.

    Examples:
        >>> with open_channel("127.0.0.1:50151") as channel:
        ...     pass
    """
    target, arguments = _target(address, options)
    if credentials is None:
        return grpc.insecure_channel(target, arguments)
    return grpc.secure_channel(target, credentials, arguments)


def open_aio_channel(
    address: Address | str,
    credentials: grpc.ChannelCredentials | None = None,
    options: Options = (),
) -> grpc.aio.Channel:
    """Open an asyncio channel; see `open_channel`.

    Examples:
        >>> import asyncio
        >>> async def main() -> None:
        ...     async with open_aio_channel("127.0.0.1:50151") as channel:
        ...         print(channel.get_state().name)
        >>> asyncio.run(main())
        IDLE
    """
    target, arguments = _target(address, options)
    if credentials is None:
        return grpc.aio.insecure_channel(target, arguments)
    return grpc.aio.secure_channel(target, credentials, arguments)


def _target(address: Address | str, options: Options) -> tuple[str, list[tuple[str, int | str]]]:
    parsed = Address.parse(address) if isinstance(address, str) else address
    arguments: dict[str, int | str] = dict([*_COMMON, *options])
    if parsed.is_loopback:
        arguments["grpc.enable_http_proxy"] = 0
    # With its scheme, since a host's name may be the name of a scheme, such as "unix".
    return "dns:///" + quote(str(parsed), safe=":[]"), list(arguments.items())


@dataclass(frozen=True)
class Pem:
    """PEM data from a file or a store.

    Examples:
        >>> authority = Pem.read(Path("ca.pem"))
        >>> authority.name
        'ca.pem'
    """

    data: bytes
    """PEM text as bytes."""
    name: str
    """Name in messages, such as a file's path."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file.

        Raises:
            TransportError: it cannot be read.
        """
        try:
            return cls(path.read_bytes(), str(path))
        except OSError as error:
            raise TransportError(f"cannot read {path}: {error.strerror}") from error


def tls_credentials(
    authority: Pem, certificate: Pem | None = None, key: Pem | None = None
) -> grpc.ChannelCredentials:
    """Check certificates and key, and return credentials for TLS 1.3.

    Args:
        authority: certificates that the server's is checked against.
        certificate: the client's chain, its own certificate first; None without mutual TLS.
        key: the private key of the client's certificate, not encrypted.

    Raises:
        CertificateExpired: the client's certificate, or each of the authority's, is not valid now.
        TransportError: something is malformed, the key is not the certificate's, or gRPC was
            imported before TLS 1.3 was required.

    Examples:
        >>> authority, certificate, key = map(Pem.read, map(Path, ("ca.pem", "device.pem", "device.key")))
        >>> credentials = tls_credentials(authority, certificate, key)
        >>> with open_channel("gpu.example.org:50151", credentials) as channel:
        ...     pass
    """
    transport.require_tls13()
    roots = _certificates(authority)
    _check_period(roots, authority.name)
    if certificate is None or key is None:
        if certificate is not key:
            raise TransportError("a client's certificate and its key belong together")
        return grpc.ssl_channel_credentials(_pem(roots))
    chain = _certificates(certificate)
    private = _private_key(key)
    if private.public_key() != chain[0].public_key():
        raise TransportError(f"{key.name} is not the key of the certificate in {certificate.name}")
    _check_period(chain[:1], certificate.name)
    plain = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    # Serialized again, so that gRPC's parser gets only what ours understood.
    return grpc.ssl_channel_credentials(_pem(roots), plain, _pem(chain))


def _certificates(source: Pem) -> list[x509.Certificate]:
    _check_content(source)
    try:
        found = x509.load_pem_x509_certificates(source.data)
        for certificate in found:
            # Parsed lazily, and malformed keys raise here.
            certificate.public_key()
    except Exception as error:  # One of half a dozen kinds.
        raise TransportError(f"{source.name} holds no valid certificate (PEM)") from error
    return found


def _private_key(source: Pem) -> PrivateKeyTypes:
    _check_content(source)
    try:
        return serialization.load_pem_private_key(source.data, None)
    except TypeError as error:
        raise TransportError(
            f"the key {source.name} is encrypted: give it without a passphrase"
        ) from error
    except Exception as error:  # One of half a dozen kinds.
        raise TransportError(f"{source.name} holds no valid private key (PEM)") from error


def _check_content(source: Pem) -> None:
    if not source.data.strip():
        raise TransportError(f"{source.name} is empty")


def _check_period(certificates: Sequence[x509.Certificate], name: str) -> None:
    """Check that one of the certificates is valid now."""
    now = datetime.datetime.now(datetime.UTC)
    if any(each.not_valid_before_utc <= now < each.not_valid_after_utc for each in certificates):
        return
    first = certificates[0]
    if now < first.not_valid_before_utc:
        raise CertificateExpired(
            f"the certificate in {name} is valid from {first.not_valid_before_utc:%Y-%m-%d %H:%M} "
            "UTC: is this machine's clock right?"
        )
    raise CertificateExpired(
        f"the certificate in {name} expired on {first.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    )


def _pem(certificates: Sequence[x509.Certificate]) -> bytes:
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)
