"""Enrollment and renewal: `duet.v1.EnrollmentService` and `duet.v1.IdentityService`."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

import grpc
from cryptography import x509

from duet_cloud import logs
from duet_cloud.errors import ListenError
from duet_cloud.grpc_server import make_server
from duet_cloud.identity.authority import Authority
from duet_cloud.identity.callers import CALLER, peer_network
from duet_cloud.identity.certificates import der, serial_text
from duet_cloud.identity.credentials import ServerCredentials
from duet_cloud.identity.database import DatabaseError
from duet_cloud.identity.refusals import Refusals
from duet_cloud.identity.replicas import Replicas
from duet_cloud.interceptor import CallInterceptor
from duet_cloud.status import (
    Context,
    Refusal,
    database_away,
    exhausted,
    invalid,
    over_quota,
    unauthenticated,
)
from duet_contract.enrollment_codes import SECRET_BYTES
from duet_contract.v1 import enrollment_pb2_grpc
from duet_contract.v1.enrollment_pb2 import (
    EnrollRequest,
    EnrollResponse,
    GetAuthorityRequest,
    GetAuthorityResponse,
    RenewRequest,
    RenewResponse,
)

WINDOW_S = 60.0
MOST_PER_ADDRESS = 5
MOST_IN_ALL = 60


class CodeRateLimiter:
    """Bounds wrong codes in any `WINDOW_S` seconds, from one address and in all.

    Counts are not persistent, since a restart gains an attacker almost nothing.

    Args:
        clock: seconds on a steady clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # When each wrong code came, and from where. No code is tried beyond the limit.
        self._wrong: deque[tuple[float, str]] = deque(maxlen=MOST_IN_ALL)

    def wait_s(self, peer: str) -> float:
        """Return the seconds until `peer` (as gRPC names it) may try a code; 0 if it may now."""
        now = self._clock()
        while self._wrong and self._wrong[0][0] <= now - WINDOW_S:
            self._wrong.popleft()
        network = peer_network(peer)
        own = [at for at, origin in self._wrong if origin == network]
        everyone = [at for at, _ in self._wrong]
        free = max(_free_at(own, MOST_PER_ADDRESS), _free_at(everyone, MOST_IN_ALL))
        return max(free - now, 0.0)

    def count_wrong(self, peer: str) -> None:
        """Count a wrong code that `peer` tried."""
        self._wrong.append((self._clock(), peer_network(peer)))


def _free_at(times: Sequence[float], most: int) -> float:
    return times[-most] + WINDOW_S if len(times) >= most else 0.0


# Anyone can reach this port: its messages are small and its connections short.
_SERVER_OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 16 * 1024),
    ("grpc.max_metadata_size", 8 * 1024),
    ("grpc.max_concurrent_streams", 4),
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_connection_idle_ms", 10_000),
    ("grpc.max_connection_age_ms", 60_000),
    ("grpc.max_connection_age_grace_ms", 5_000),
)
_MOST_CALLS = 32
_WRITE_S = 5.0
MOST_RENEWALS = 10
_RENEWAL_WINDOW_S = 3600.0
_ENROLL = "/duet.v1.EnrollmentService/Enroll"

_Result = TypeVar("_Result")


class EnrollmentService(enrollment_pb2_grpc.EnrollmentServiceServicer):
    """Spends enrollment codes."""

    def __init__(
        self,
        authority: Authority,
        service_port: int,
        replicas: Replicas,
        limiter: CodeRateLimiter,
        refusals: Refusals,
    ) -> None:
        self._authority = authority
        self._service_port = service_port
        self._replicas = replicas
        self._limiter = limiter
        self._refusals = refusals
        # One code at a time, so that those in flight count before the next one is tried.
        self._trying = asyncio.Lock()

    async def GetAuthority(  # noqa: N802 (gRPC's name)
        self, request: GetAuthorityRequest, context: Context
    ) -> GetAuthorityResponse:
        """See enrollment.proto."""
        return GetAuthorityResponse(authority=der(self._authority.certificate))

    async def Enroll(  # noqa: N802 (gRPC's name)
        self, request: EnrollRequest, context: Context
    ) -> EnrollResponse:
        """See enrollment.proto."""
        peer = context.peer()
        try:
            return await self._enroll(request, peer)
        except Refusal as refusal:
            self._refusals.report(refusal, _ENROLL, peer)
            raise

    async def _enroll(self, request: EnrollRequest, peer: str) -> EnrollResponse:
        known = len(request.secret) == SECRET_BYTES
        authority, given = self._authority, (request.secret, request.signing_request)
        if known and (answered := await _signed(authority, lambda: authority.answered(*given))):
            # The owner of that key got this response before: it does not guess codes.
            return await self._response(*answered)
        async with self._trying:
            found = await self._try(given if known else None, peer)
        name, certificate = found
        logs.get().info("enrolled", device=name, serial=serial_text(certificate), peer=peer)
        return await self._response(name, certificate)

    async def _try(
        self, given: tuple[bytes, bytes] | None, peer: str
    ) -> tuple[str, x509.Certificate]:
        """Spend a code; None stands for one of another length."""
        if wait := self._limiter.wait_s(peer):
            raise exhausted(
                f"too many wrong enrollment codes (more than {MOST_PER_ADDRESS} a minute from one "
                f"address): wait {wait:.0f} s",
                wait,
            )
        found = None
        if given:
            found = await _signed(self._authority, lambda: self._authority.enroll(*given))
        if found is None:
            self._limiter.count_wrong(peer)
            # One message for all three: only the operator learns which it is.
            raise unauthenticated(
                "the enrollment code is unknown, used or expired: ask for a new one",
                "ENROLLMENT_CODE",
            )
        return found

    async def _response(self, name: str, certificate: x509.Certificate) -> EnrollResponse:
        publishers = await _signed(self._authority, self._authority.registry.publishers)
        return EnrollResponse(
            name=name,
            certificate=der(certificate),
            service_port=self._service_port,
            publishers=list(publishers.values()),
            servers=self._replicas.servers,
            server_name=self._replicas.name,
        )


class IdentityService(enrollment_pb2_grpc.IdentityServiceServicer):
    """Renews the certificate of the device that calls, whose identity was checked before."""

    def __init__(self, authority: Authority, replicas: Replicas) -> None:
        self._authority = authority
        self._replicas = replicas
        # Of each device, when it renewed; each renewal adds a row to the registry.
        self._renewed: dict[str, deque[float]] = {}

    async def Renew(  # noqa: N802 (gRPC's name)
        self, request: RenewRequest, context: Context
    ) -> RenewResponse:
        """See enrollment.proto."""
        caller = CALLER.get()
        assert caller is not None
        times = self._count(caller.name)
        try:
            certificate = await _signed(
                self._authority,
                lambda: self._authority.renew(caller.serial, request.signing_request),
            )
        except Refusal as refusal:
            if refusal.code == grpc.StatusCode.UNAVAILABLE:
                # No row was added: a device that tries until the database is back is served then.
                times.pop()
            raise
        if certificate is None:
            raise unauthenticated(f"the certificate of {caller.name!r} was revoked", "REVOKED")
        logs.get().info("renewed", device=caller.name, serial=serial_text(certificate))
        return RenewResponse(
            certificate=der(certificate),
            servers=self._replicas.servers,
            server_name=self._replicas.name,
        )

    def _count(self, name: str) -> deque[float]:
        """Count a renewal; return when a device renewed.

        Raises:
            Refusal: RESOURCE_EXHAUSTED.
        """
        now = time.monotonic()
        times = self._renewed.setdefault(name, deque(maxlen=MOST_RENEWALS))
        if len(times) == MOST_RENEWALS and (wait := times[0] + _RENEWAL_WINDOW_S - now) > 0:
            raise over_quota(
                name,
                "renewals",
                f"limit of {name}: {MOST_RENEWALS} renewals an hour; resets in {wait:.0f} s",
                wait,
            )
        times.append(now)
        return times


class EnrollmentServer:
    """The port for devices without an identity."""

    def __init__(
        self,
        authority: Authority,
        credentials: ServerCredentials,
        address: str,
        service_port: int,
        replicas: Replicas,
        refusals: Refusals,
    ) -> None:
        """Bind the port.

        Raises:
            ListenError: it cannot be bound.
        """
        self._server = make_server(
            interceptors=[CallInterceptor(_WRITE_S)],
            options=list(_SERVER_OPTIONS),
            maximum_concurrent_rpcs=_MOST_CALLS,
        )
        enrollment_pb2_grpc.add_EnrollmentServiceServicer_to_server(
            EnrollmentService(authority, service_port, replicas, CodeRateLimiter(), refusals),
            self._server,
        )
        try:
            self.port = int(self._server.add_secure_port(address, credentials.server_only()))
        except RuntimeError as error:
            raise ListenError(f"cannot listen on {address}: is the port in use?") from error

    async def start(self) -> None:
        """Start answering."""
        await self._server.start()

    async def stop(self) -> None:
        """Close every connection."""
        await self._server.stop(None)
        await asyncio.sleep(0)


async def _signed(authority: Authority, sign: Callable[[], _Result]) -> _Result:
    """Return what `sign` gives, which reads and writes the authority's records.

    Raises:
        Refusal: INVALID_ARGUMENT, as the signing request cannot be used; UNAVAILABLE, as the records
            cannot.
    """
    try:
        return await authority.registry.database.call(sign)
    except ValueError as error:
        raise invalid("signing_request", f"cannot be signed: {error}") from error
    except DatabaseError as error:
        raise database_away("the authority's registry cannot be used") from error
