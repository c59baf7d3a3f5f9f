"""Two services with one PostgreSQL database: identities, revocations and limits are the same."""

import asyncio
import dataclasses
import datetime
import json
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from cryptography import x509
from grpc_health.v1 import health_pb2
from grpc_status import rpc_status

from duet_cloud import logs
from duet_cloud.identity import certificates
from duet_cloud.identity import counts as counts_module
from duet_cloud.identity.access import Access, IdentityLimits
from duet_cloud.identity.authority import Authority, invite
from duet_cloud.identity.certificates import pem, serial_text
from duet_cloud.identity.counts import LEASE_S, Counts
from duet_cloud.identity.database import Database, statement
from duet_cloud.options import ServeOptions
from duet_cloud.reasoner import PairReasoner
from duet_cloud.server import INFERENCE_NAME, CloudServer
from duet_cloud.status import Refusal
from duet_contract.channels import Pem, open_aio_channel, tls_credentials
from duet_contract.v1.enrollment_pb2 import EnrollRequest
from duet_contract.v1.enrollment_pb2_grpc import EnrollmentServiceStub
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from tests.doubles import identities
from tests.doubles.commands import cloud_admin
from tests.doubles.engine import ScriptedEngine
from tests.doubles.postgres import Postgres
from tests.doubles.unread import until

BUDGET = 10


@dataclass
class Replica:
    """A service, and connections to it."""

    server: CloudServer
    """The running server."""
    engine: ScriptedEngine
    """Its engine."""
    roots: bytes
    """Certificate of its authority, PEM."""
    channels: list[grpc.aio.Channel]
    """Channels that are closed at the end."""

    def connect(self, client: identities.KeyPair) -> InferenceServiceStub:
        return InferenceServiceStub(self._channel(self.server.port, client.credentials(self.roots)))

    @property
    def enrollment(self) -> EnrollmentServiceStub:
        assert self.server.security
        port = self.server.security.enrollment_port
        assert port
        anyone = tls_credentials(Pem(self.roots, "the authority"))
        return EnrollmentServiceStub(self._channel(port, anyone))

    def _channel(self, port: int, credentials: grpc.ChannelCredentials) -> grpc.aio.Channel:
        options = [("grpc.use_local_subchannel_pool", 1)]
        self.channels.append(open_aio_channel(f"localhost:{port}", credentials, options))
        return self.channels[-1]

    def metric(self, name: str, **labels: str) -> float | None:
        return self.server.metrics.registry.get_sample_value(name, labels)

    async def health(self) -> int:
        asked = health_pb2.HealthCheckRequest(service=INFERENCE_NAME)
        response = await self.server._health.Check(asked, None)
        return int(response.status)


async def ask(stub: InferenceServiceStub, budget: int = BUDGET) -> int:
    call = stub.Reason(ReasonRequest(question="What?", budget=budget))
    return int([response async for response in call][-1].end.signal_tokens)


async def outcomes(calls: list[asyncio.Task[int]]) -> dict[str, int]:
    """How many calls ended how: "served", or the status of the refusal."""
    counted: dict[str, int] = {}
    for result in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(result, grpc.aio.AioRpcError):
            name = result.code().name
        else:
            assert result == BUDGET
            name = "served"
        counted[name] = counted.get(name, 0) + 1
    return counted


@pytest.fixture
def database(postgres: Postgres) -> str:
    return postgres.database()


@pytest.fixture
def authority(tmp_path: Path, database: str) -> Authority:
    return identities.make_authority(tmp_path / "authority", database)


@pytest_asyncio.fixture
async def replicas(
    toy_pair: Path, options: ServeOptions, authority: Authority, database: str, tmp_path: Path
) -> AsyncIterator[list[Replica]]:
    """On two hosts, as it were: each has a directory of its own."""
    logs.configure("json")
    made = []
    for name in ("one", "two"):
        directory = tmp_path / name
        shutil.copytree(authority.directory, directory)
        server = CloudServer(
            dataclasses.replace(
                options,
                tls_dir=directory,
                database=database,
                enrollment_port=0,
                max_running=16,
                max_waiting=200,
            ),
            PairReasoner.load(toy_pair),
        )
        await server.start()
        engine = ScriptedEngine(pause_s=0.002)
        await server.open(engine)
        made.append(Replica(server, engine, pem(authority.certificate), []))
    yield made
    for replica in made:
        for channel in replica.channels:
            await channel.close()
        await replica.server.stop()


def limit(replicas: list[Replica], **limits: int) -> None:
    for replica in replicas:
        assert replica.server.security
        access = replica.server.security._access
        access.access = access.access.model_copy(
            update={"limits": {"default": IdentityLimits(**limits)}}
        )


async def test_tokens_are_exact_across_both(replicas: list[Replica], authority: Authority) -> None:
    stubs = [replica.connect(identities.device(authority)) for replica in replicas]
    await ask(stubs[0])
    cost = len(replicas[0].engine.jobs[0].prompt_ids) + BUDGET
    # Room for 11 more questions and a part of one, among 60 that come at the same time.
    limit(replicas, tokens=12 * cost + cost // 2)
    calls = [asyncio.create_task(ask(stubs[number % 2])) for number in range(60)]
    assert await outcomes(calls) == {"served": 11, "RESOURCE_EXHAUSTED": 49}
    for replica in replicas:
        assert replica.server.security
        assert replica.server.security._quotas.counts.spent("laptop") == 12 * cost
    rest = cost // 2 - (cost - BUDGET)
    if rest > 0:
        assert await ask(stubs[1], rest) == rest


async def test_questions_a_minute_are_exact_across_both(
    replicas: list[Replica], authority: Authority
) -> None:
    stubs = [replica.connect(identities.device(authority)) for replica in replicas]
    limit(replicas, rate=7)
    calls = [asyncio.create_task(ask(stubs[number % 2])) for number in range(40)]
    assert await outcomes(calls) == {"served": 7, "RESOURCE_EXHAUSTED": 33}


async def test_questions_at_a_time_are_exact_across_both(
    replicas: list[Replica], authority: Authority
) -> None:
    stubs = [replica.connect(identities.device(authority)) for replica in replicas]
    limit(replicas, concurrency=3)
    for replica in replicas:
        replica.engine.pause_s = 0.3
    calls = [asyncio.create_task(ask(stubs[number % 2])) for number in range(20)]
    assert await outcomes(calls) == {"served": 3, "RESOURCE_EXHAUSTED": 17}
    for replica in replicas:
        replica.engine.pause_s = 0.0
    for stub in stubs:
        assert await ask(stub) == BUDGET


async def test_a_revocation_ends_streams_at_both(
    replicas: list[Replica], authority: Authority, database: str
) -> None:
    for replica in replicas:
        replica.engine.pause_s = 0.5
        replica.engine.script = list(range(100, 1000))
    laptop, phone = (identities.device(authority, name) for name in ("laptop", "phone"))
    revoked = [asyncio.create_task(ask(replica.connect(laptop), 40)) for replica in replicas]
    other = asyncio.create_task(ask(replicas[0].connect(phone), 10))
    await until(lambda: sum(replica.engine.running for replica in replicas) == 3)
    revoke = ("revoke", "laptop", "--dir", str(authority.directory), "--database", database)
    assert await asyncio.to_thread(cloud_admin, revoke) == 0
    for task in revoked:
        with pytest.raises(grpc.aio.AioRpcError, match="was revoked") as caught:
            await task
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert await other == 10


async def test_of_many_that_use_a_code_at_both_one_is_served(
    replicas: list[Replica], authority: Authority
) -> None:
    stubs = [replica.enrollment for replica in replicas]
    for number in range(5):
        name = f"laptop-{number}"
        code = invite(authority.certificate, authority.registry, name, ["inference"], 1.0)
        calls = [
            stub.Enroll(
                EnrollRequest(secret=code.secret, signing_request=identities.signing_request())
            )
            for stub in stubs
        ]
        results = await asyncio.gather(*calls, return_exceptions=True)
        codes = [
            result.code() if isinstance(result, grpc.aio.AioRpcError) else "enrolled"
            for result in results
        ]
        assert sorted(map(str, codes)) == ["StatusCode.UNAUTHENTICATED", "enrolled"]


async def test_the_database_away_and_back(
    replicas: list[Replica],
    authority: Authority,
    postgres: Postgres,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Open streams continue; new ones are refused, and it is reported; then all is as before."""
    limit(replicas, tokens=10**6, concurrency=5)
    serving, not_serving = (
        health_pb2.HealthCheckResponse.SERVING,
        health_pb2.HealthCheckResponse.NOT_SERVING,
    )
    laptop = identities.device(authority)
    stubs = [replica.connect(laptop) for replica in replicas]
    replicas[0].engine.pause_s = 0.1
    stream = asyncio.create_task(ask(stubs[0], 40))
    await until(lambda: replicas[0].engine.emitted >= 2)
    try:
        await asyncio.to_thread(postgres.stop)
        for replica, stub in zip(replicas, stubs, strict=True):
            began = time.monotonic()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask(stub)
            assert time.monotonic() - began < 30
            assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
            assert caught.value.details() == "the authority's registry cannot be read"
            status = rpc_status.from_call(caught.value)
            assert [detail.TypeName() for detail in status.details] == ["google.rpc.RetryInfo"]
            await until(lambda security=replica.server.security: not security.database_up)  # type: ignore[union-attr,misc]
            assert replica.metric("duet_database_up") == 0
            assert replica.metric("duet_refused_total", reason="database") == 1
            (reason,) = replica.server.reasons()
            assert "database" in reason
            assert await replica.health() == not_serving
        assert await stream == 40
    finally:
        await asyncio.to_thread(postgres.start)
    for replica, stub in zip(replicas, stubs, strict=True):
        await until(lambda security=replica.server.security: security.database_up)  # type: ignore[union-attr]
        assert replica.metric("duet_database_up") == 1
        assert replica.server.reasons() == []
        assert await replica.health() == serving
        assert await ask(stub) == BUDGET
    logged = [json.loads(line)["event"] for line in capfd.readouterr().err.splitlines()]
    assert logged.count("database away") == logged.count("database back") == 2
    # The question that ended meanwhile holds no place.
    limit(replicas, concurrency=1)
    assert await ask(stubs[1]) == BUDGET


def counts_of(database: str, **given: object) -> Counts:
    counts = Counts(Database.postgresql(database), **given)  # type: ignore[arg-type]
    counts.database.migrate()
    counts.begin()
    return counts


def test_a_service_without_database_for_long_keeps_its_own_questions(database: str) -> None:
    now = [1_800_000_000.0]
    one = counts_of(database, clock=lambda: now[0])
    assert one.admit("laptop", IdentityLimits(concurrency=1))
    now[0] += LEASE_S + 1
    with pytest.raises(Refusal, match="1 questions at a time"):
        one.admit("laptop", IdentityLimits(concurrency=1))
    # It deletes the numbers of services that are gone.
    two = counts_of(database, clock=lambda: now[0])
    with pytest.raises(Refusal, match="1 questions at a time"):
        one.admit("laptop", IdentityLimits(concurrency=1))
    one.extend()
    with pytest.raises(Refusal, match="1 questions at a time"):
        two.admit("laptop", IdentityLimits(concurrency=1))
    one.leave("laptop")
    one.extend()
    assert two.admit("laptop", IdentityLimits(concurrency=1))
    for counts in (one, two):
        counts.close()


def test_clocks_that_differ_make_no_limit_larger(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counts of a service that is ahead are not in the future of one that is behind."""
    one, two = counts_of(database), counts_of(database)
    limits = IdentityLimits(rate=2)
    one.admit("laptop", limits)
    real = time.time
    monkeypatch.setattr(counts_module.time, "time", lambda: real() - 30)
    two.admit("laptop", limits)
    with pytest.raises(Refusal, match="2 questions a minute"):
        two.admit("laptop", limits)
    for counts in (one, two):
        counts.close()


def test_the_day_is_the_databases(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service whose clock is behind counts tokens on the day on which the others do."""
    real = time.time

    def today() -> str:
        return datetime.datetime.fromtimestamp(real(), datetime.UTC).date().isoformat()

    monkeypatch.setattr(counts_module.time, "time", lambda: real() - 2 * 86400)
    counts = counts_of(database)
    before = today()
    assert before <= counts.day() <= today()
    counts.add("laptop", counts.day(), 7)
    counts.close()
    # As a command of the operator's opens them, which counts nothing.
    asked = Counts(Database.postgresql(database))
    assert [each.day for each in asked.usage(Access(), days=1)] == [counts.day()]
    monkeypatch.setattr(counts_module.time, "time", lambda: real() + 2 * 86400)
    assert [each.tokens for each in asked.usage(Access(), days=1)] == [7]
    asked.close()


@pytest.fixture
def serial(authority: Authority) -> str:
    """Of the certificate that laptop has."""
    device = identities.device(authority, "laptop")
    return serial_text(x509.load_pem_x509_certificate(device.certificate))


@pytest.fixture(params=["revoke", "enroll again"])
def revocation(
    request: pytest.FixtureRequest, authority: Authority, serial: str
) -> Callable[[], int]:
    """Revokes what laptop has; returns how many certificates are valid after it."""
    code = invite(authority.certificate, authority.registry, "laptop", ["inference"], 1.0)

    def revoke() -> int:
        if request.param == "revoke":
            authority.registry.revoke("laptop", int(time.time()))
            return 0
        assert authority.enroll(code.secret, identities.signing_request())
        return 1

    return revoke


def _valid(authority: Authority) -> int:
    with authority.registry.database.connection() as connection:
        query = statement("SELECT COUNT(*) FROM certificates WHERE revoked IS NULL")
        return int(connection.execute(query).scalar_one())


def test_a_revocation_while_a_renewal_signs_revokes_what_it_signs(
    authority: Authority,
    serial: str,
    revocation: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sign, signing, revoked = (
        certificates.device_certificate,
        threading.Event(),
        threading.Event(),
    )

    def sign_slowly(*arguments: object) -> x509.Certificate:
        if not signing.is_set():
            signing.set()
            # Time for the revocation to commit, if nothing holds it.
            revoked.wait(0.5)
        return sign(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(certificates, "device_certificate", sign_slowly)
    with ThreadPoolExecutor() as threads:
        renewal = threads.submit(authority.renew, serial, identities.signing_request())
        assert signing.wait(60)
        left = revocation()
        revoked.set()
        assert renewal.result() is not None
    assert _valid(authority) == left


def test_a_renewal_that_begins_while_a_revocation_commits_is_refused(
    authority: Authority, serial: str, revocation: Callable[[], int]
) -> None:
    waiting = statement("SELECT COUNT(*) FROM pg_locks WHERE NOT granted")
    with ThreadPoolExecutor() as threads:
        with authority.registry.database.transaction() as connection:
            left = revocation()
            renewal = threads.submit(authority.renew, serial, identities.signing_request())
            deadline = time.monotonic() + 60
            while not connection.execute(waiting).scalar_one() and not renewal.done():
                assert time.monotonic() < deadline
                time.sleep(0.01)
        assert renewal.result() is None
    assert _valid(authority) == left
