"""The server's certificate: checked before it is used, loaded again when its file changes."""

import datetime
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from duet_cloud import logs
from duet_cloud.errors import CredentialsError
from duet_cloud.identity import certificates
from duet_cloud.identity.authority_directory import CERTIFICATE_NAME, SERVER_NAME
from duet_contract.errors import TransportError
from duet_contract.transport import require_tls13


@dataclass(frozen=True)
class ServerFiles:
    """PEM files of a server."""

    chain: Path
    """The server's certificate chain."""
    key: Path
    """The server's private key."""
    client_authorities: Path
    """Certificates of those who sign clients' certificates."""

    @classmethod
    def of_authority(cls, directory: Path) -> "ServerFiles":
        """Return the files in an authority's directory."""
        server = directory / SERVER_NAME
        return cls(server, server, directory / CERTIFICATE_NAME)


class ServerCredentials:
    """gRPC server credentials whose files may change while it serves."""

    def __init__(self, files: ServerFiles) -> None:
        """Read and check the files.

        Raises:
            CredentialsError: they cannot be used.
        """
        try:
            require_tls13()
        except TransportError as error:
            raise CredentialsError(str(error)) from error
        self._files = files
        self._loaded = _Loaded.read(files)
        self._reported: tuple[tuple[int, ...], ...] = ()

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate in use."""
        return self._loaded.certificate

    @property
    def client_authorities_end(self) -> datetime.datetime:
        """When the last of those who sign clients' certificates ends."""
        return self._loaded.client_authorities_end

    def mutual(self) -> grpc.ServerCredentials:
        """For services: a client certificate is required and verified."""
        return self._dynamic(client_certificate=True)

    def server_only(self) -> grpc.ServerCredentials:
        """For enrollment: the client has no certificate yet."""
        return self._dynamic(client_certificate=False)

    def refresh(self) -> bool:
        """Load changed files; return whether it did. Unusable files change nothing."""
        signature = _signature(self._files)
        if signature == self._loaded.signature:
            return False
        try:
            self._loaded = _Loaded.read(self._files)
        except CredentialsError as error:
            # Reported once a change, since a certificate and its key may be written one after the
            # other; tried each time, since one that is not valid yet becomes valid by itself.
            if signature != self._reported:
                self._reported = signature
                logs.get().error("certificate not reloaded", reason=str(error))
            return False
        logs.get().info(
            "certificate reloaded", ends=self.certificate.not_valid_after_utc.isoformat()
        )
        return True

    def _dynamic(self, *, client_certificate: bool) -> grpc.ServerCredentials:
        # gRPC asks at every handshake; each of the two ports remembers the files it got last.
        given = self._loaded

        def configuration(loaded: "_Loaded") -> grpc.ServerCertificateConfiguration:
            return grpc.ssl_server_certificate_configuration(
                [(loaded.key, loaded.chain)],
                loaded.client_authorities if client_certificate else None,
            )

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            nonlocal given
            loaded = self._loaded
            if loaded is given:
                return None
            given = loaded
            return configuration(loaded)

        typed: Callable[..., grpc.ServerCredentials] = grpc.dynamic_ssl_server_credentials
        return typed(configuration(given), fetch, require_client_authentication=client_certificate)


@dataclass(frozen=True)
class _Loaded:
    """Checked content of the files."""

    chain: bytes
    """Bytes of the server's certificate chain."""
    key: bytes
    """Bytes of the server's private key."""
    client_authorities: bytes
    """Bytes of the certificates of those who sign clients' certificates."""
    client_authorities_end: datetime.datetime
    """When the last of these certificates ends."""
    certificate: x509.Certificate
    """The server's own certificate, the first one of the chain."""
    signature: tuple[tuple[int, ...], ...]
    """State of the files when they were read; another state means that they changed."""

    @classmethod
    def read(cls, files: ServerFiles) -> "_Loaded":
        signature = _signature(files)
        check_private(files.key)
        chain, key, authorities = (
            _read(path) for path in (files.chain, files.key, files.client_authorities)
        )
        certificate = certificates.load_chain(chain, str(files.chain))[0]
        signers = certificates.load_chain(authorities, str(files.client_authorities))
        end = max(each.not_valid_after_utc for each in signers)
        _check(files, certificate, key)
        if _now() >= end:
            raise CredentialsError(
                f"every certificate in {files.client_authorities} has ended, the last on "
                f"{end.date()}: no device could connect; replace it"
            )
        return cls(chain, key, authorities, end, certificate, signature)


def _check(files: ServerFiles, certificate: x509.Certificate, key: bytes) -> None:
    """GRPC would start with most of these, and fail at each handshake."""
    try:
        private = serialization.load_pem_private_key(key, None)
    except (ValueError, TypeError) as error:
        raise CredentialsError(f"{files.key} holds no unencrypted private key in PEM") from error
    if private.public_key() != certificate.public_key():
        raise CredentialsError(f"{files.key} is not the key of the certificate in {files.chain}")
    now = _now()
    if now >= certificate.not_valid_after_utc:
        ended = certificate.not_valid_after_utc.date()
        raise CredentialsError(
            f"the server's certificate in {files.chain} ended on {ended}: replace it "
            "(duet-cloud admin rotate, for an authority of duet-cloud admin)"
        )
    begins = certificate.not_valid_before_utc
    if now < begins:
        raise CredentialsError(
            f"the server's certificate in {files.chain} is not valid yet, but from "
            f"{begins:%Y-%m-%d %H:%M:%S} UTC on"
        )
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if ExtendedKeyUsageOID.SERVER_AUTH not in usage:
        raise CredentialsError(f"the certificate in {files.chain} is not for servers")


def check_private(path: Path) -> None:
    """Check that not every user of the host may read a secret.

    Raises:
        CredentialsError: they may, or the file cannot be examined.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise CredentialsError(f"cannot read {path}: {error.strerror}") from error
    # The owner and the group may: a service can run as a user of its own.
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise CredentialsError(f"every user of this host may read {path}: chmod o-rw {path}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CredentialsError(f"cannot read {path}: {error.strerror}") from error


def _signature(files: ServerFiles) -> tuple[tuple[int, ...], ...]:
    found: list[tuple[int, ...]] = []
    for path in (files.chain, files.key, files.client_authorities):
        try:
            status = path.stat()
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
        except OSError:
            found.append(())
    return tuple(found)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
