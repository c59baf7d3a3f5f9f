"""Who calls: the identity behind a connection's certificate, looked up anew for each call."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from cryptography import x509

from duet_cloud.identity.access import AccessFile
from duet_cloud.identity.certificates import serial_text
from duet_cloud.identity.registry import Registry
from duet_cloud.identity.roles import Role
from duet_cloud.status import unauthenticated
from duet_contract.transport import TLS_VERSION

AuthContext = Mapping[str, Iterable[bytes]]


@dataclass(frozen=True)
class Caller:
    """An identity. `serial`: of its certificate. `ends`: when that ends, seconds since 1970."""

    name: str
    roles: frozenset[Role]
    serial: str
    ends: float


# Of the call that is being served.
CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)


class Callers(Protocol):
    """Tells callers apart."""

    def identify(self, auth: AuthContext) -> Caller:
        """The caller; raises Refusal (UNAUTHENTICATED)."""

    def changed(self) -> bool:
        """Whether somebody may have lost a right since the last call."""

    def ended(self, caller: Caller) -> bool:
        """Whether the caller's certificate has ended."""

    def stands(self, caller: Caller) -> Caller:
        """The caller as it is now; raises Refusal if it is not admitted any more."""


class EnrolledDevices:
    """Devices that our own authority enrolled; roles are in its registry."""

    def __init__(self, registry: Registry, clock: Callable[[], float] = time.time) -> None:
        self._registry = registry
        self._clock = clock

    def identify(self, auth: AuthContext) -> Caller:
        """See `Callers`."""
        certificate = _certificate(auth)
        return self._look_up(certificate.serial)

    def changed(self) -> bool:
        """See `Callers`."""
        return self._registry.changes()

    def ended(self, caller: Caller) -> bool:
        """See `Callers`."""
        return self._clock() >= caller.ends

    def stands(self, caller: Caller) -> Caller:
        """See `Callers`."""
        return self._look_up(caller.serial)

    def _look_up(self, serial: str) -> Caller:
        issued = self._registry.certificate(serial)
        if issued is None:
            # Signed by the authority, and yet unknown: an older copy of the registry, or worse.
            raise unauthenticated("the certificate is not in the authority's registry", "UNKNOWN")
        if issued.revoked is not None:
            raise unauthenticated(
                f"the certificate of {issued.device!r} was revoked", "REVOKED", issued.device
            )
        _check_ends(issued.device, issued.not_after, self._clock())
        roles = frozenset(Role(role) for role in issued.roles)
        return Caller(issued.device, roles, serial, issued.not_after)


class OperatorNames:
    """Devices of the operator's own PKI; the access file gives roles to their URI names."""

    def __init__(self, file: AccessFile, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock
        self._seen = file.access

    def identify(self, auth: AuthContext) -> Caller:
        """See `Callers`."""
        certificate = _certificate(auth)
        if len(certificate.uris) != 1:
            # SPIFFE X.509-SVID, section 2: exactly one.
            raise unauthenticated("the certificate must have exactly one URI name", "NO_URI_NAME")
        caller = Caller(certificate.uris[0], frozenset(), certificate.serial, certificate.ends)
        return self.stands(caller)

    def changed(self) -> bool:
        """See `Callers`."""
        seen, self._seen = self._seen, self._file.access
        return seen is not self._seen

    def ended(self, caller: Caller) -> bool:
        """See `Callers`."""
        return self._clock() >= caller.ends

    def stands(self, caller: Caller) -> Caller:
        """See `Callers`."""
        _check_ends(caller.name, caller.ends, self._clock())
        access = self._file.access
        if caller.name in access.denied:
            raise unauthenticated(f"{caller.name} is denied", "REVOKED", caller.name)
        return Caller(caller.name, access.roles_of(caller.name), caller.serial, caller.ends)


@dataclass(frozen=True)
class _Certificate:
    serial: str
    uris: tuple[str, ...]
    ends: float


def _certificate(auth: AuthContext) -> _Certificate:
    """The certificate that TLS verified, from gRPC's authentication context."""
    versions = tuple(auth.get("ssl_tls_version", ()))
    if versions != (TLS_VERSION.encode(),):
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


def _check_ends(name: str, ends: float, now: float) -> None:
    # TLS looks when a connection begins; connections may last longer than certificates.
    if now >= ends:
        raise unauthenticated("the certificate has ended", "ENDED", name)
