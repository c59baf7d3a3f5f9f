"""The certificate authority: how it is made, and what can be signed once its key is unlocked."""

import datetime
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from duet_cloud.errors import CredentialsError, UsageError
from duet_cloud.identity import certificates
from duet_cloud.identity.authority_directory import (
    CERTIFICATE_NAME,
    KEY_NAME,
    REGISTRY_NAME,
    SERVER_NAME,
    load_certificate,
    load_server_certificate,
    open_registry,
    set_owner,
)
from duet_cloud.identity.database import Database
from duet_cloud.identity.registry import Registry
from duet_contract.encrypted_key import (
    LEAST_PASSPHRASE,
    MOST_FILE_BYTES,
    decrypt_key,
    encrypt_key,
)
from duet_contract.enrollment_codes import EnrollmentCode
from duet_contract.errors import KeyProblem
from duet_contract.private_files import write_private

_KEY_PURPOSE = "authority"

DEVICE_DAYS = 14.0
SERVER_DAYS = 30.0
# How long a spent code returns the same certificate for the same key.
ANSWER_AGAIN = datetime.timedelta(hours=1)


def usual_hosts() -> tuple[str, ...]:
    """Return the usual names of a server on this machine that a certificate can hold."""
    names = ("localhost", "127.0.0.1", "::1", socket.gethostname(), socket.getfqdn())
    return tuple(dict.fromkeys(name.lower() for name in names if certificates.is_host(name)))


def create(
    directory: Path,
    passphrase: str,
    domain: str,
    hosts: Sequence[str],
    device_days: float = DEVICE_DAYS,
    server_days: float = SERVER_DAYS,
    url: str | None = None,
) -> "Authority":
    """Make an authority and its server's first certificate.

    `url`: of the PostgreSQL database for its registry; None: in the directory.

    Raises:
        UsageError: the directory holds something, the passphrase is too short, or the URL cannot
            be used.
        CredentialsError: it cannot be made or written.
    """
    try:
        if directory.exists() and any(directory.iterdir()):
            raise UsageError(f"{directory} is not empty: an authority is never overwritten")
        if len(passphrase) < LEAST_PASSPHRASE:
            raise UsageError(f"the passphrase must have at least {LEAST_PASSPHRASE} characters")
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        days = {"device_days": str(device_days), "server_days": str(server_days)}
        return _create(directory, passphrase, {"domain": domain, **days}, hosts, url)
    except OSError as error:
        raise CredentialsError(
            f"cannot make an authority in {directory}: {error.strerror}"
        ) from error


def _create(
    directory: Path,
    passphrase: str,
    settings: dict[str, str],
    hosts: Sequence[str],
    url: str | None,
) -> "Authority":
    """Create the authority in an empty directory; remove the directory on failure."""
    try:
        key = certificates.new_key()
        certificate = certificates.authority_certificate(key, settings["domain"], _now())
        plain = key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        write_private(directory / KEY_NAME, encrypt_key(plain, passphrase, _KEY_PURPOSE))
        write_private(directory / CERTIFICATE_NAME, certificates.pem(certificate))
        path = directory / REGISTRY_NAME
        database = Database.sqlite(path) if url is None else Database.postgresql(url)
        database.migrate()
        authority = Authority(directory, certificate, key, Registry(database))
        with authority.registry.database.transaction():
            if authority.registry.setting_or_none("domain") is not None:
                raise CredentialsError(
                    f"{database.name} has the records of another authority: give an empty database"
                )
            for name, value in settings.items():
                authority.registry.set(name, value)
            set_owner(authority.registry, certificate)
            authority.issue_server(hosts)
    except BaseException:
        # A partly written authority would be taken for a complete one.
        shutil.rmtree(directory, ignore_errors=True)
        raise
    return authority


def discard(authority: "Authority") -> None:
    """Remove an authority that `create` has just made."""
    authority.registry.clear_settings()
    authority.registry.database.close()
    shutil.rmtree(authority.directory, ignore_errors=True)


def unlock(directory: Path, passphrase: str, url: str | None = None) -> "Authority":
    """Open an authority, its key included.

    `url`: see `open_registry`.

    Raises:
        UsageError: the URL cannot be used.
        CredentialsError: something is missing, altered, or the passphrase is wrong.
    """
    certificate = load_certificate(directory)
    path = directory / KEY_NAME
    try:
        with path.open("rb") as file:
            content = file.read(MOST_FILE_BYTES + 1)
        plain = decrypt_key(content, passphrase, _KEY_PURPOSE, str(path))
    except (OSError, KeyProblem) as error:
        raise CredentialsError(str(error)) from error
    key = serialization.load_der_private_key(plain, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CredentialsError(f"{path} holds no ECDSA key")
    if key.public_key() != certificate.public_key():
        raise CredentialsError(f"{path} is not the key of {directory / CERTIFICATE_NAME}")
    return Authority(directory, certificate, key, open_registry(directory, url))


@dataclass(frozen=True)
class Authority:
    """An authority that can sign."""

    directory: Path
    """Directory of the authority's files."""
    certificate: x509.Certificate
    """Root certificate, which devices and the service trust."""
    key: ec.EllipticCurvePrivateKey
    """Private key that signs certificates."""
    registry: Registry
    """Record of devices and their certificates."""

    def enroll(self, secret: bytes, signing_request: bytes) -> tuple[str, x509.Certificate] | None:
        """Exchange a code for a certificate; return the device's name and it, None if invalid.

        Raises:
            ValueError: the signing request cannot be used; the code is not spent.
        """
        with self.registry.database.transaction():
            name = self.registry.spend(secret, int(_now().timestamp()))
            if name is None:
                return None
            certificate = self._issue_device(name, signing_request)
            self.registry.answer(secret, certificates.der(certificate))
            return name, certificate

    def answered(
        self, secret: bytes, signing_request: bytes
    ) -> tuple[str, x509.Certificate] | None:
        """Return the certificate of a repeated request; None if this is not a repetition.

        A response may be lost on its way. For `ANSWER_AGAIN` the code gives the same certificate to
        whoever has its private key, unless it was revoked meanwhile.

        Raises:
            ValueError: the code was spent, and the signing request cannot be used.
        """
        now = int(_now().timestamp())
        since = now - int(ANSWER_AGAIN.total_seconds())
        found = self.registry.answered(secret, since)
        if found is None:
            return None
        name, certificate = found[0], x509.load_der_x509_certificate(found[1])
        if certificates.signing_request_key(signing_request) != certificate.public_key():
            return None
        issued = self.registry.certificate(certificates.serial_text(certificate))
        if issued is None or issued.revoked is not None or issued.not_after <= now:
            return None
        return name, certificate

    def renew(self, serial: str, signing_request: bytes) -> x509.Certificate | None:
        """Return the certificate to follow the one of that serial; None if that was revoked.

        Raises:
            ValueError: the signing request cannot be used.
        """
        with self.registry.database.transaction():
            known = self.registry.certificate(serial)
            if known is None:
                return None
            self.registry.lock(known.device)
            # Read again: a revocation may have held the lock.
            present = self.registry.certificate(serial)
            if present is None or present.revoked is not None:
                return None
            return self._issue_device(present.device, signing_request)

    def issue_server(self, hosts: Sequence[str] = ()) -> x509.Certificate:
        """Replace the server's certificate and key; a running server loads them by itself.

        `hosts`: the server's new names or addresses; none: those of its present certificate.

        Raises:
            CredentialsError: no certificate can hold one of its names, or it has no predecessor.
        """
        key = certificates.new_key()
        registry = self.registry
        names = hosts or certificates.hosts(load_server_certificate(self.directory))
        uri = certificates.spiffe_id(registry.setting("domain"), "cloud")
        try:
            certificate = certificates.server_certificate(
                self.certificate,
                self.key,
                key.public_key(),
                [*names, uri],
                float(registry.setting("server_days")),
                _now(),
            )
        except ValueError as error:
            raise CredentialsError(
                f"no certificate can name a server {', '.join(names)} ({error}): "
                "duet-cloud admin rotate --host ..."
            ) from error
        content = certificates.key_pem(key) + certificates.pem(certificate)
        write_private(self.directory / SERVER_NAME, content)
        return certificate

    def _issue_device(self, name: str, signing_request: bytes) -> x509.Certificate:
        public_key = certificates.signing_request_key(signing_request)
        uri = certificates.spiffe_id(self.registry.setting("domain"), "device", name)
        days = float(self.registry.setting("device_days"))
        certificate = certificates.device_certificate(
            self.certificate, self.key, public_key, [uri], days, _now()
        )
        self.registry.add_certificate(
            certificates.serial_text(certificate),
            name,
            int(certificate.not_valid_before_utc.timestamp()),
            int(certificate.not_valid_after_utc.timestamp()),
        )
        return certificate


def invite(
    certificate: x509.Certificate,
    registry: Registry,
    name: str,
    roles: Sequence[str],
    hours: float,
) -> EnrollmentCode:
    """Return a code for a device, good once and for some hours. Needs no key."""
    code = EnrollmentCode.new(certificates.der(certificate))
    now = int(_now().timestamp())
    registry.invite(name, roles, code.secret, now, now + round(hours * 3600))
    return code


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
