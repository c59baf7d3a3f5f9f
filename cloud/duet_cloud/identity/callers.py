"""Who calls: the identity behind a connection's certificate, looked up for each call."""

import ipaddress
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Protocol, TypeVar
from urllib.parse import unquote

from cryptography import x509

from duet_cloud.identity.access import AccessFile
from duet_cloud.identity.certificates import serial_text
from duet_cloud.identity.registry import Issued, Registry
from duet_cloud.identity.roles import Role
from duet_cloud.status import Refusal, unauthenticated
from duet_contract.transport import TLS_VERSION

AuthContext = Mapping[str, Iterable[bytes]]
_Asked = TypeVar("_Asked")


@dataclass(frozen=True)
class Caller:
    """An identity that makes a call."""

    name: str
    """The device's name, or the URI name in its certificate with your own PKI."""
    roles: frozenset[Role]
    """Its roles."""
    serial: str
    """Serial number of its certificate."""
    expires: float
    """When its certificate expires, seconds since 1970."""


CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)
"""The caller of the call that is being served; None without transport security."""


class Callers(Protocol):
    """Identifies callers."""

    async def identify(self, auth: AuthContext) -> Caller:
        """Return the caller.

        Raises:
            Refusal: UNAUTHENTICATED.
            DatabaseError: the authority's records cannot be read.
        """

    async def current(self, callers: Collection[Caller]) -> dict[Caller, Caller | Refusal]:
        """Return callers with their roles as they are now, or why they lost access.

        Raises:
            DatabaseError: the authority's records cannot be read.
        """


class EnrolledDevices:
    """Devices that our own authority enrolled; roles are in its registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def identify(self, auth: AuthContext) -> Caller:
        """See `Callers`."""
        serial = _certificate(auth).serial
        issued = await self._registry.database.call(partial(self._registry.certificate, serial))
        return self._admit(issued)

    async def current(self, callers: Collection[Caller]) -> dict[Caller, Caller | Refusal]:
        """See `Callers`."""
        if not callers:
            return {}
        serials = {caller.serial for caller in callers}
        found = await self._registry.database.call(partial(self._registry.certificates, serials))
        return {caller: _result(self._admit, found.get(caller.serial)) for caller in callers}

    def _admit(self, issued: Issued | None) -> Caller:
        if issued is None:
            # Signed by the authority, but unknown: the registry is an older copy, or modified.
            raise unauthenticated("the certificate is not in the authority's registry", "UNKNOWN")
        if issued.revoked is not None:
            raise unauthenticated(
                f"the certificate of {issued.device!r} was revoked", "REVOKED", issued.device
            )
        _check_expiry(issued.device, issued.not_after)
        roles = frozenset(Role(role) for role in issued.roles)
        return Caller(issued.device, roles, issued.serial, issued.not_after)


class OperatorNames:
    """Devices of the operator's own PKI; the access file gives roles to their URI names."""

    def __init__(self, file: AccessFile) -> None:
        self._file = file

    async def identify(self, auth: AuthContext) -> Caller:
        """See `Callers`."""
        certificate = _certificate(auth)
        if len(certificate.uris) != 1:
            # SPIFFE X.509-SVID, section 2: exactly one.
            raise unauthenticated("the certificate must have exactly one URI name", "NO_URI_NAME")
        return self._admit(
            Caller(certificate.uris[0], frozenset(), certificate.serial, certificate.expires)
        )

    async def current(self, callers: Collection[Caller]) -> dict[Caller, Caller | Refusal]:
        """See `Callers`."""
        return {caller: _result(self._admit, caller) for caller in callers}

    def _admit(self, caller: Caller) -> Caller:
        _check_expiry(caller.name, caller.expires)
        access = self._file.access
        if caller.name in access.denied:
            raise unauthenticated(f"{caller.name} is denied", "REVOKED", caller.name)
        return Caller(caller.name, access.roles_of(caller.name), caller.serial, caller.expires)


def _result(admit: Callable[[_Asked], Caller], asked: _Asked) -> Caller | Refusal:
    try:
        return admit(asked)
    except Refusal as refusal:
        return refusal


@dataclass(frozen=True)
class _Certificate:
    """What an identity is read from."""

    serial: str
    """Serial number, as the registry writes it."""
    uris: tuple[str, ...]
    """URI names of the certificate."""
    expires: float
    """Time of expiry, in seconds since 1970."""


def _certificate(auth: AuthContext) -> _Certificate:
    """Return the certificate that TLS verified, from gRPC's authentication context."""
    # The handshake requires it (`duet_contract.transport`); gRPC names the version from 1.84 on.
    if any(version != TLS_VERSION.encode() for version in auth.get("ssl_tls_version", ())):
        raise unauthenticated(f"{TLS_VERSION} is required", "TLS_VERSION")
    found = tuple(auth.get("x509_pem_cert", ()))
    if len(found) != 1:
        raise unauthenticated("a client certificate is required", "NO_CERTIFICATE")
    return _parse(found[0])


@lru_cache(maxsize=4096)
def _parse(pem: bytes) -> _Certificate:
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = tuple(names.get_values_for_type(x509.UniformResourceIdentifier))
    except x509.ExtensionNotFound:
        uris = ()
    return _Certificate(serial_text(certificate), uris, certificate.not_valid_after_utc.timestamp())


def _check_expiry(name: str, expires: float) -> None:
    # TLS checks it when a connection begins; connections may last longer than certificates.
    if time.time() >= expires:
        raise unauthenticated("the certificate has expired", "EXPIRED", name)


def peer_network(peer: str) -> str:
    """Return the address behind a peer's name in gRPC: IPv4, or the /64 network of IPv6.

    Examples:
        >>> peer_network("ipv4:192.0.2.7:4711"), peer_network("ipv6:[2001:db8::7]:4711")
        ('192.0.2.7', '2001:db8::/64')
    """
    kind, _, rest = unquote(peer).partition(":")
    host = rest.rsplit(":", 1)[0].strip("[]").split("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"{kind}:{host}"
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
