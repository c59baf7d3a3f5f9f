"""Store this device's identity with a server: certificate, encrypted key, trusted authority.

Each server has one file in `identities/` of the device's home, replaced whole. The private key is
generated on the device, never leaves it, and is encrypted by the vault. With your own PKI the file
names your certificate files instead, which are read again for each link.
"""

import base64
import hashlib
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from duet_contract.addresses import Address
from duet_contract.errors import AddressError, CertificateExpired, TransportError
from duet_contract.json_data import parse_json, read_json
from duet_device.errors import (
    IdentityExpired,
    IdentityProblem,
    UsageProblem,
    VaultError,
    VaultLocked,
)
from duet_device.home import home
from duet_device.setting_types import DEFAULT_PORT, ENROLLMENT_PORT

if TYPE_CHECKING:
    import grpc

# Renewed when this part of the certificate's life has passed.
RENEW_AFTER = 0.5
_SCHEMA = 1
MOST_SERVERS = 16
# Servers named in one message.
_MOST_NAMED = 3


@dataclass(frozen=True)
class Identity:
    """The identity of this device with one server."""

    server: str
    """The server as host:port."""
    name: str
    """The device's name."""
    authority: str = ""
    """Certificate of the authority, PEM."""
    certificate: str = ""
    """Certificate of the device, PEM."""
    encrypted_key: bytes = b""
    """Private key (PEM), encrypted; empty with `files`."""
    begins: float = 0.0
    """Start of the certificate's validity, seconds since 1970; 0 with `files`."""
    ends: float = 0.0
    """End of the certificate's validity, seconds since 1970; 0 with `files`."""
    files: tuple[Path, Path, Path] | None = None
    """Certificate, key and authority of your own PKI; None after enrollment with a code."""
    servers: tuple[str, ...] = ()
    """All servers (host:port) that this identity is for, best first; empty: `server` alone."""
    server_name: str = ""
    """Name that the certificates of all these servers have; empty: each has its host's."""

    def credentials(self) -> "grpc.ChannelCredentials":
        """Return the credentials for mutual TLS 1.3.

        Raises:
            IdentityExpired: the certificate is not valid now.
            IdentityProblem: something cannot be read, is malformed, or does not belong together.
            VaultError: the key cannot be decrypted.
        """
        from duet_contract.channels import Pem, tls_credentials

        try:
            if self.files:
                certificate, key, authority = (Pem.read(path) for path in self.files)
            else:
                self._check_period()
                of = f"of this device's identity with {self.server}"
                certificate = Pem(self.certificate.encode(), f"the certificate {of}")
                key = Pem(self._key(), f"the key {of}")
                authority = Pem(self.authority.encode(), f"the authority {of}")
            return tls_credentials(authority, certificate, key)
        except CertificateExpired as error:
            raise IdentityExpired(str(error)) from error
        except TransportError as error:
            raise IdentityProblem(str(error)) from error

    def with_servers(self, servers: Sequence[str], server_name: str) -> Self:
        """Return the identity with all servers that it is for, as the cloud names them.

        Raises:
            IdentityProblem: they are malformed, or too many.
        """
        try:
            found = tuple(str(Address.parse(server)) for server in servers[: MOST_SERVERS + 1])
            if server_name:
                # As strict as for the host of an address.
                Address.parse(f"{server_name}:1")
        except AddressError as error:
            raise IdentityProblem(f"{self.server} names a malformed server: {error}") from error
        if len(found) > MOST_SERVERS:
            raise IdentityProblem(f"{self.server} names more than {MOST_SERVERS} servers")
        return replace(self, servers=found, server_name=server_name)

    def _check_period(self) -> None:
        now = time.time()
        if now >= self.ends:
            ended = time.strftime("%Y-%m-%d %H:%M", time.gmtime(self.ends))
            raise IdentityExpired(
                f"this device's certificate for {self.server} ended on {ended} UTC: ask its "
                "operator for a new code, then duet-device enroll HOST:PORT CODE"
            )
        if now < self.begins:
            raise IdentityExpired(
                f"this device's certificate for {self.server} is not valid yet: is the clock right?"
            )

    @property
    def due(self) -> bool:
        """Whether the certificate must be renewed."""
        part = (time.time() - self.begins) / max(1.0, self.ends - self.begins)
        return self.files is None and part >= RENEW_AFTER

    def _key(self) -> bytes:
        try:
            return decrypt_key(key_purpose(self.server), self.encrypted_key)
        except VaultLocked:
            raise
        except VaultError as error:
            raise VaultError(f"this device's key for {self.server}: {error}") from error


def parse_address(server: str, port: int = DEFAULT_PORT) -> Address:
    """Read a server's address.

    Args:
        server: HOST:PORT, or HOST.
        port: what HOST alone means.

    Raises:
        UsageProblem: it is neither.
    """
    text = server.strip()
    if text.endswith("]") or (text and ":" not in text):
        text = f"{text}:{port}"
    try:
        return Address.parse(text)
    except AddressError as error:
        raise UsageProblem(str(error)) from error


def parse_addresses(servers: str) -> tuple[Address, ...]:
    """Read the addresses of one or several servers, separated by commas; each counts once.

    Raises:
        UsageProblem: one is not HOST:PORT, or there are too many.
    """
    found = tuple(dict.fromkeys(map(parse_address, servers.split(","))))
    if len(found) > MOST_SERVERS:
        raise UsageProblem(f"{len(found)} servers are given, at most {MOST_SERVERS} are possible")
    return found


def canonical(server: str) -> str:
    """Return a server's name as identities are found by.

    Raises:
        UsageProblem: it is not HOST:PORT.
    """
    return str(parse_address(server))


def load_identity(server: str) -> Identity | None:
    """Return the identity enrolled with `server`; None if the device is not enrolled there.

    Raises:
        IdentityProblem: the identity exists and cannot be read. This is not treated as missing,
            since data for an enrolled server must not be sent in plaintext.
    """
    path = _path(server)
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise IdentityProblem(f"cannot read the identity {path}: {error.strerror}") from error
    try:
        return _parse(parse_json(content), canonical(server))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IdentityProblem(
            f"the identity {path} is damaged: enroll again, or delete it"
        ) from error


def save_identity(identity: Identity) -> Path:
    """Write an identity, in place of an earlier one for the same server.

    Raises:
        IdentityProblem: it cannot be written.
    """
    from duet_contract.private_files import write_private

    data: dict[str, Any] = {"schema": _SCHEMA, "server": identity.server, "name": identity.name}
    if identity.files:
        data["files"] = [str(path) for path in identity.files]
    else:
        data |= {
            "authority": identity.authority,
            "certificate": identity.certificate,
            "key": base64.b64encode(identity.encrypted_key).decode("ascii"),
            "begins": identity.begins,
            "ends": identity.ends,
            "servers": identity.servers,
            "server_name": identity.server_name,
        }
    try:
        path = _path(identity.server)
        write_private(path, json.dumps(data, indent=2).encode() + b"\n")
    except OSError as error:
        raise IdentityProblem(f"cannot store the identity: {error}") from error
    return path


def key_purpose(server: str) -> str:
    """For what the key of the identity with `server` (host:port) is encrypted."""
    return f"identity key for {server}"


def encrypt_key(purpose: str, key: bytes) -> bytes:
    """Encrypt a private key (PEM) for one purpose.

    Raises:
        VaultError: the vault cannot be opened.
    """
    from duet_device.vault.vault import Vault

    return Vault.open().encrypt(key, purpose)


def decrypt_key(purpose: str, encrypted: bytes) -> bytes:
    """Decrypt what `encrypt_key` gave for the same purpose.

    Raises:
        VaultError: there is no vault, it cannot be opened, or the key was modified.
    """
    from duet_device.vault.vault import Vault

    return Vault.open(create=False).decrypt(encrypted, purpose)


def identity_for(server: str) -> Identity | None:
    """Return the identity for `server` (host:port); None for a plaintext link.

    It is enrolled with that server, or with one that is served together with it.

    Raises:
        IdentityProblem: there is no identity and the server is on another machine, or this device
            is enrolled with that server by another name, or the identity cannot be read.
    """
    identity = load_identity(server) or _listing(canonical(server))
    if identity:
        return identity
    address = parse_address(server)
    enrolled = enrolled_servers()
    same = [each for each in enrolled if _same_server(Address.parse(each), address)]
    if same:
        raise IdentityProblem(
            f"this device is enrolled with {same[0]}, not with {address}: use --server {same[0]}"
        )
    if address.is_loopback:
        return None
    known = f" but with {', '.join(enrolled[:_MOST_NAMED])}" if enrolled else ""
    raise IdentityProblem(
        f"this device is not enrolled with {address}{known}, and nothing is sent to other machines "
        f"in the clear: duet-device enroll {Address(address.host, ENROLLMENT_PORT)} CODE"
    )


def _listing(server: str) -> Identity | None:
    """Return the identity of another server that names this one."""
    for enrolled in enrolled_servers():
        identity = load_identity(enrolled)
        if identity and server in identity.servers:
            return identity
    return None


def enrolled_servers() -> list[str]:
    """Servers (host:port) that this device has identities with; damaged files are left out."""
    servers = []
    for path in sorted(_directory().glob("*.json")):
        try:
            data = read_json(path)
            servers.append(str(Address.parse(data["server"])))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, AddressError):
            continue
    return servers


def _same_server(one: Address, other: Address) -> bool:
    """Return whether two names are of one server for certain: this machine, and the same port."""
    return one.is_loopback and other.is_loopback and one.port == other.port


def _directory() -> Path:
    return home(create=False) / "identities"


def _path(server: str) -> Path:
    name = canonical(server)
    # Readable, and yet no two servers share a file on any file system.
    readable = re.sub(r"[^a-z0-9.-]+", "_", name)[:80]
    mark = hashlib.sha256(name.encode()).hexdigest()[:12]
    return _directory() / f"{readable}-{mark}.json"


def _parse(data: dict[str, Any], server: str) -> Identity:
    if data["schema"] != _SCHEMA or data["server"] != server:
        raise ValueError("of another form, or for another server")
    name = str(data["name"])
    if "files" in data:
        certificate, key, authority = (Path(path) for path in data["files"])
        return Identity(server, name, files=(certificate, key, authority))
    return Identity(
        server,
        name,
        authority=str(data["authority"]),
        certificate=str(data["certificate"]),
        encrypted_key=base64.b64decode(data["key"], validate=True),
        begins=float(data["begins"]),
        ends=float(data["ends"]),
        # Absent in files of older versions.
        servers=tuple(str(Address.parse(each)) for each in data.get("servers", ())),
        server_name=str(data.get("server_name", "")),
    )
