"""Transport security of the service: built from the options, then kept current."""

import asyncio
import datetime
import time
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path

import grpc
from cryptography import x509
from prometheus_client import Counter

from duet_cloud import logs
from duet_cloud.errors import CloudError, CredentialsError, UsageError
from duet_cloud.identity import authority as authorities
from duet_cloud.identity import authority_directory
from duet_cloud.identity.access import Access, AccessFile
from duet_cloud.identity.authorizer import WATCH_S, CallAuthorizer
from duet_cloud.identity.callers import Callers, EnrolledDevices, OperatorNames
from duet_cloud.identity.counts import COUNTS_NAME, Counts, begin_counts, counts_beside
from duet_cloud.identity.credentials import ServerCredentials, ServerFiles
from duet_cloud.identity.database import Database, DatabaseError
from duet_cloud.identity.enrollment import EnrollmentServer, IdentityService
from duet_cloud.identity.passphrase import read_passphrase
from duet_cloud.identity.quotas import Quotas
from duet_cloud.identity.refusals import Refusals
from duet_cloud.identity.registry import Registry
from duet_cloud.identity.replicas import Replicas
from duet_cloud.options import ServeOptions
from duet_contract.addresses import Address
from duet_contract.v1 import enrollment_pb2_grpc

ACCESS_NAME = "access.toml"
# A certificate is replaced when this part of its life is left.
RENEW_LEFT = 1 / 3
# When warnings about the server's certificate begin, if it was due to be replaced.
_TELL_LEFT = datetime.timedelta(days=7)


def open_security(options: ServeOptions, refused: Counter) -> "Security | None":
    """Return the configured security; None means plaintext, for loopback only.

    `refused` counts calls that are refused, by `reason`.

    Raises:
        UsageError: options that contradict each other, or lack each other.
        CredentialsError: a configured file cannot be loaded.
    """
    files = _files(options)
    if files is None:
        return None
    if options.tls_dir is not None:
        return Security.of_authority(options, options.tls_dir, refused)
    assert options.access is not None
    access = _access(options)
    return Security(
        ServerCredentials(files),
        OperatorNames(access),
        access,
        begin_counts(counts_beside(options.access), options.database),
        refused,
    )


def check_security(options: ServeOptions) -> str | None:
    """Describe the server's certificate; None without transport security. Changes nothing.

    Raises:
        UsageError: options that contradict each other, or lack each other.
        CredentialsError: a configured file cannot be loaded.
    """
    files = _files(options)
    if files is None:
        return None
    if options.tls_dir is not None:
        authority_directory.load_certificate(options.tls_dir)
    _access(options)
    replicas = Replicas.parse(options.replicas, options.replica_name)
    credentials = ServerCredentials(files)
    replicas.check(credentials.certificate)
    return f"{files.chain}: ends on {credentials.certificate.not_valid_after_utc:%Y-%m-%d}"


def check_database(options: ServeOptions) -> str | None:
    """Describe the database of a service's identities and counts; None without one. Changes nothing.

    Raises:
        UsageError: the URL cannot be used.
        CredentialsError: the database cannot be used, is another authority's, or a later version
            wrote it.
    """
    if options.database is not None:
        if options.tls_dir is not None:
            return authority_directory.check_registry(options.tls_dir, options.database)
        with closing(Database.postgresql(options.database)) as database:
            return database.check()
    if options.tls_dir is not None:
        described = authority_directory.check_registry(options.tls_dir)
        counts = options.tls_dir / COUNTS_NAME
    elif options.access is not None:
        described, counts = None, counts_beside(options.access)
    else:
        return None
    if counts.is_file():  # the service makes it otherwise
        with closing(Database.sqlite(counts)) as database:
            version = database.check()
        return described or version
    return described


def _files(options: ServeOptions) -> ServerFiles | None:
    """Return the server's files; None without transport security."""
    own_pki = (options.tls_cert, options.tls_key, options.tls_client_ca)
    if options.tls_dir is None and not any(own_pki):
        for value, name in (
            (options.access, "--access"),
            (options.enrollment_port, "--enrollment-port"),
            (options.replicas or None, "--replica"),
            (options.replica_name, "--replica-name"),
            (options.passphrase_file, "--passphrase-file"),
            (options.database, "--database"),
        ):
            if value is not None:
                raise UsageError(f"{name} needs identities: give --tls-dir, or --tls-cert and more")
        return None
    if options.tls_dir is not None:
        if any(own_pki):
            raise UsageError("--tls-dir and --tls-cert with its like are alternatives")
        return ServerFiles.of_authority(options.tls_dir)
    cert, key, authority = own_pki
    if cert is None or key is None or authority is None or options.access is None:
        raise UsageError("--tls-cert, --tls-key, --tls-client-ca and --access belong together")
    if options.enrollment_port is not None or options.passphrase_file is not None:
        raise UsageError("enrollment needs an authority of duet-cloud admin: --tls-dir")
    if options.replicas or options.replica_name is not None:
        raise UsageError("--replica needs an authority of duet-cloud admin: --tls-dir")
    return ServerFiles(cert, key, authority)


def _access(options: ServeOptions) -> AccessFile:
    """Return the access file, whose roles are right for this kind of identities."""
    if options.tls_dir is not None:
        usual = options.tls_dir / ACCESS_NAME
        access = AccessFile(options.access or usual, may_lack=options.access is None)
        _check_roles_unset(access.access)
        return access
    assert options.access is not None
    access = AccessFile(options.access)
    if not access.access.roles:
        raise UsageError(f"{options.access} gives no one a role")
    return access


class Security:
    """Who may connect and what they may do; `start` and `stop` with the server."""

    def __init__(
        self,
        credentials: ServerCredentials,
        callers: Callers,
        access: AccessFile,
        counts: Counts,
        refused: Counter,
        authority: authorities.Authority | None = None,
        enrollment_port: int | None = None,
        replicas: Replicas | None = None,
        root: x509.Certificate | None = None,
        registry: Registry | None = None,
    ) -> None:
        self._credentials = credentials
        self._access = access
        self._quotas = Quotas(counts, access)
        self._authority = authority
        self._enrollment_port = enrollment_port
        self._replicas = replicas or Replicas()
        self._replicas.check(credentials.certificate)
        self._root = root
        self._registry = registry
        self.database_up = True
        """Whether the registry and the counts can be read."""
        self.charge = self._quotas.charge
        self._warned: datetime.date | None = None
        self._enrollment: EnrollmentServer | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._enrollment_refusals = Refusals(refused, event="enrollment refused")
        self.authorizer = CallAuthorizer(callers, self._quotas, Refusals(refused))

    @classmethod
    def of_authority(cls, options: ServeOptions, directory: Path, refused: Counter) -> "Security":
        """Return security by an authority that `duet-cloud admin` created."""
        authority = None
        root = authority_directory.load_certificate(directory)
        # Before anything is changed.
        counts = begin_counts(directory / COUNTS_NAME, options.database)
        if options.enrollment_port is not None or options.passphrase_file is not None:
            passphrase = read_passphrase(options.passphrase_file)
            authority = authorities.unlock(directory, passphrase, options.database)
            _replace_if_ended(authority)
            registry = authority.registry
        else:
            registry = authority_directory.open_registry(directory, options.database)
        access = _access(options)
        return cls(
            ServerCredentials(ServerFiles.of_authority(directory)),
            EnrolledDevices(registry),
            access,
            counts,
            refused,
            authority,
            options.enrollment_port,
            Replicas.parse(options.replicas, options.replica_name),
            root,
            registry,
        )

    @property
    def enrollment_port(self) -> int | None:
        """Port where devices enroll, once bound."""
        return self._enrollment.port if self._enrollment else None

    def certificates(self) -> dict[str, Callable[[], float]]:
        """Return when the server's certificate and its authorities end, in Unix time, by name."""
        ends = {"server": lambda: self._credentials.certificate.not_valid_after_utc.timestamp()}
        if root := self._root:
            ends["authority"] = lambda: root.not_valid_after_utc.timestamp()
        else:
            # The file may change meanwhile.
            ends["client_authority"] = lambda: self._credentials.client_authorities_end.timestamp()
        return ends

    def add_services(self, server: grpc.aio.Server) -> None:
        """Add renewal, where the authority is unlocked."""
        if self._authority:
            enrollment_pb2_grpc.add_IdentityServiceServicer_to_server(
                IdentityService(self._authority, self._replicas), server
            )

    def bind(self, server: grpc.aio.Server, host: str, port: int) -> int:
        """Bind the services' port, and enrollment's if configured; return the services' port.

        Raises:
            RuntimeError: the services' port cannot be bound.
            ListenError: enrollment's cannot.
        """
        bound = int(server.add_secure_port(str(Address(host, port)), self._credentials.mutual()))
        if self._authority and self._enrollment_port is not None:
            self._enrollment = EnrollmentServer(
                self._authority,
                self._credentials,
                str(Address(host, self._enrollment_port)),
                bound,
                self._replicas,
                self._enrollment_refusals,
            )
        return bound

    async def start(self, report_ready: Callable[[], Awaitable[None]]) -> None:
        """Start enrollment and the tasks that watch certificates, rights and the database.

        `report_ready` is called when `database_up` changes.
        """
        if self._enrollment:
            await self._enrollment.start()
        self._tasks = [
            asyncio.create_task(self.authorizer.watch(), name="duet-authorizer"),
            asyncio.create_task(self._maintain(), name="duet-certificates"),
            asyncio.create_task(self._watch_database(report_ready), name="duet-database"),
        ]

    async def stop(self) -> None:
        """Stop both."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        if self._enrollment:
            await self._enrollment.stop()
        await self._quotas.close()
        if self._registry:
            self._registry.database.close()

    async def _watch_database(self, report_ready: Callable[[], Awaitable[None]]) -> None:
        """Notice when the database goes and comes; run until cancelled."""
        away_since = 0.0
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                if self._registry:
                    await self._registry.database.call(self._registry.database.ping)
                await self._quotas.extend()
            except DatabaseError as error:
                if self.database_up:
                    self.database_up, away_since = False, time.monotonic()
                    logs.get().error("database away", reason=str(error))
                    await report_ready()
                continue
            if not self.database_up:
                self.database_up = True
                seconds = round(time.monotonic() - away_since, 1)
                logs.get().info("database back", seconds=seconds)
                await report_ready()

    async def _maintain(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            # A file of a megabyte takes seconds to parse.
            await asyncio.to_thread(self._refresh_access)
            self._warn_expiry()
            try:
                if self._authority and _replaceable(
                    self._credentials.certificate, self._authority.certificate
                ):
                    # Reads the registry and signs.
                    await asyncio.to_thread(self._authority.issue_server)
            except (CloudError, OSError) as error:
                logs.get().error("security maintenance failed", reason=str(error))
                await asyncio.sleep(60)
            await asyncio.to_thread(self._credentials.refresh)

    def _refresh_access(self) -> None:
        try:
            if self._access.refresh():
                logs.get().info("access file reloaded")
                if self._root:
                    _check_roles_unset(self._access.access)
        except CloudError as error:
            logs.get().error("security maintenance failed", reason=str(error))

    def _warn_expiry(self) -> None:
        """Warn once a day while a certificate expires soon."""
        now = datetime.datetime.now(datetime.UTC)
        if now.date() == self._warned:
            return
        if self._root and (line := authority_directory.near_end(self._root)):
            self._warned = now.date()
            logs.get().warning("authority expires", reason=line)
        server = self._credentials.certificate
        if _due(server) and now >= server.not_valid_after_utc - _TELL_LEFT:
            self._warned = now.date()
            ends = f"{server.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
            line = f"the server's certificate ends on {ends}: replace it, or no device connects"
            logs.get().warning("certificate expires", reason=line)


def _replaceable(server: x509.Certificate, root: x509.Certificate) -> bool:
    """Return whether the server's next certificate is due and would last longer."""
    return _due(server) and server.not_valid_after_utc < root.not_valid_after_utc


def _replace_if_ended(authority: authorities.Authority) -> None:
    """A server that was off for long would otherwise not start, although all that it needs exists."""
    with suppress(CredentialsError):  # reported by ServerCredentials
        server = authority_directory.load_server_certificate(authority.directory)
        if _replaceable(server, authority.certificate):
            authority.issue_server()


def _due(certificate: x509.Certificate) -> bool:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return datetime.datetime.now(datetime.UTC) >= ends - RENEW_LEFT * (ends - begins)


def _check_roles_unset(access: Access) -> None:
    if access.roles or access.denied:
        raise UsageError(
            "with --tls-dir, roles are given by duet-cloud admin invite and taken by revoke; "
            "[roles] and denied have no effect: leave them out of the access file"
        )
