"""Two replicas with certificates that share a name: a device learns both, and one may fail."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from duet_cloud.errors import UsageError
from duet_cloud.identity.authority import Authority, invite
from duet_cloud.identity.replicas import Replicas
from duet_cloud.identity.security import check_security
from duet_cloud.options import ServeOptions
from duet_cloud.reasoner import PairReasoner
from duet_cloud.server import CloudServer
from duet_contract.manifest import load_manifest
from duet_contract.receipt import Receipt
from duet_device.client import Client
from duet_device.errors import IdentityProblem
from duet_device.identity.credentials import Identity, identity_for, load_identity
from duet_device.identity.enrollment import enroll
from duet_device.identity.renewal import renew_if_due
from duet_device.pairs.pair import Pair
from tests.doubles.decoder import ScriptedDecoder, answering
from tests.doubles.engine import ScriptedEngine
from tests.doubles.identities import make_authority
from tests.doubles.postgres import Postgres
from tests.doubles.tcp import quiet_port
from tests.doubles.unread import until

# Not in any certificate.
ELSEWHERE = "127.0.0.2"


@pytest.fixture
def database(postgres: Postgres) -> str:
    return postgres.database()


@pytest.fixture
def authority(tmp_path: Path, database: str) -> Authority:
    return make_authority(tmp_path / "authority", database)


@pytest_asyncio.fixture
async def replicas(
    toy_pair: Path, secure_options: ServeOptions, authority: Authority, database: str
) -> AsyncIterator[list[CloudServer]]:
    hosts = ("127.0.0.1", ELSEWHERE)
    ports = [quiet_port(host) for host in hosts]
    addresses = tuple(f"{host}:{port}" for host, port in zip(hosts, ports, strict=True))
    servers = []
    for host, port in zip(hosts, ports, strict=True):
        options = dataclasses.replace(
            secure_options,
            host=host,
            port=port,
            replicas=addresses,
            replica_name="localhost",
            database=database,
        )
        server = CloudServer(options, PairReasoner.load(toy_pair))
        await server.start()
        await server.open(ScriptedEngine(pause_s=0.02))
        servers.append(server)
    yield servers
    for server in servers:
        await server.stop()


def engine_of(server: CloudServer) -> ScriptedEngine:
    engine = server.routes.default.ready().watch._engine
    assert isinstance(engine, ScriptedEngine)
    return engine


@pytest_asyncio.fixture
async def identity(
    replicas: list[CloudServer],
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Identity:
    monkeypatch.setenv("DUET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DUET_PASSPHRASE", "correct horse battery")
    cost = {"iterations": 1, "lanes": 1, "memory_kib": 64}
    monkeypatch.setattr("duet_device.vault.vault._ARGON2", cost)
    code = invite(authority.certificate, authority.registry, "laptop", ["inference"], 1.0)
    assert replicas[0].security
    place = f"localhost:{replicas[0].security.enrollment_port}"
    return (await asyncio.to_thread(enroll, place, str(code))).identity


async def ask(toy_pair: Path, server: str) -> Receipt:
    pair = Pair(toy_pair, load_manifest(toy_pair))

    def answer() -> Receipt:
        with Client(
            pair,
            server=server,
            decoder=ScriptedDecoder(answering("yes", "klm")),  # type: ignore[arg-type]
            require_cloud=True,
            temperature=0.0,
            budget=40,
        ) as client:
            return client.ask("What?").receipt

    return await asyncio.to_thread(answer)


async def test_enrollment_names_every_replica(
    identity: Identity, replicas: list[CloudServer], toy_pair: Path
) -> None:
    assert identity.server == f"localhost:{replicas[0].port}"
    assert identity.servers == (
        f"127.0.0.1:{replicas[0].port}",
        f"{ELSEWHERE}:{replicas[1].port}",
    )
    assert identity.server_name == "localhost"
    assert load_identity(identity.server) == identity
    # By any of the names, the override included.
    for server in (identity.server, *identity.servers):
        assert identity_for(server) == identity
        assert (await ask(toy_pair, server)).server == server


async def test_another_replica_continues_over_tls(
    identity: Identity, replicas: list[CloudServer], toy_pair: Path
) -> None:
    whole = await ask(toy_pair, identity.servers[1])
    asking = asyncio.create_task(ask(toy_pair, identity.servers[0]))
    await until(lambda: engine_of(replicas[0]).emitted > 3)
    await replicas[0].stop()
    receipt = await asking
    assert receipt.server == identity.servers[1]
    assert (receipt.outcome, receipt.resumed) == ("moved", 1)
    assert (receipt.signal, receipt.tokens, receipt.answer) == (
        whole.signal,
        whole.tokens,
        whole.answer,
    )
    assert (await ask(toy_pair, identity.server)).server == identity.servers[1]


async def test_renewal_at_a_replica_that_works(
    identity: Identity, replicas: list[CloudServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    await replicas[0].stop()
    monkeypatch.setattr("duet_device.identity.credentials.RENEW_AFTER", 0.0)
    renewed = partial(renew_if_due, identity.servers[1], lambda _: None)
    assert await asyncio.to_thread(renewed)
    after = load_identity(identity.server)
    assert after
    assert after.certificate != identity.certificate
    assert (after.servers, after.server_name) == (identity.servers, identity.server_name)


@pytest.mark.parametrize(
    ("servers", "name", "message"),
    [
        (("nowhere",), None, "--replica: 'nowhere' is not HOST:PORT"),
        (("a:1",), "not a name", "not a name that a certificate can have"),
        ((), "localhost", "--replica-name needs --replica"),
    ],
)
def test_malformed_replicas(servers: tuple[str, ...], name: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Replicas.parse(servers, name)


def test_a_name_that_this_server_s_certificate_lacks(
    secure_options: ServeOptions, toy_pair: Path, database: str
) -> None:
    options = dataclasses.replace(
        secure_options,
        replicas=("a:1",),
        replica_name="gpu.example.org",
        database=database,
    )
    for check in (check_security, lambda each: CloudServer(each, PairReasoner.load(toy_pair))):
        with pytest.raises(UsageError, match=r"not for gpu\.example\.org.*admin rotate --host"):
            check(options)
    with pytest.raises(UsageError, match="--replica needs identities"):
        check_security(dataclasses.replace(options, tls_dir=None, enrollment_port=None))


@pytest.mark.parametrize(
    ("servers", "name"), [(["x"], ""), (["a:1"], "a b"), (["a:1"] * 17, ""), (["a:1"], "a:2")]
)
def test_a_cloud_that_names_no_servers(servers: list[str], name: str) -> None:
    with pytest.raises(IdentityProblem, match=r"here:1 names"):
        Identity("here:1", "laptop").with_servers(servers, name)
