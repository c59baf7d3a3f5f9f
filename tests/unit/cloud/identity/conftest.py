"""A service with an authority, over real TLS, on a scripted engine."""

import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from duet_cloud import logs
from duet_cloud.identity import authorizer, passphrase, security
from duet_cloud.identity.authority import Authority
from duet_cloud.identity.certificates import pem
from duet_cloud.options import ServeOptions
from duet_cloud.reasoner import PairReasoner
from duet_cloud.server import CloudServer
from duet_contract import encrypted_key
from duet_contract.channels import Pem, open_aio_channel, tls_credentials
from duet_contract.v1.control_pb2_grpc import ControlServiceStub
from duet_contract.v1.enrollment_pb2_grpc import EnrollmentServiceStub, IdentityServiceStub
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from tests.doubles.engine import ScriptedEngine
from tests.doubles.identities import PASSPHRASE, KeyPair, make_authority
from tests.doubles.postgres import Postgres
from tests.doubles.refusals import refused


@dataclass
class Client:
    """A connection, and stubs to call it with."""

    channel: grpc.aio.Channel
    """Channel of the stubs."""
    inference: InferenceServiceStub
    """Stub of `InferenceService`."""
    control: ControlServiceStub
    """Stub of `ControlService`."""
    identity: IdentityServiceStub
    """Stub of `IdentityService`."""

    async def ask(self, **fields: object) -> int:
        """Asks a question; signal tokens that came."""
        request = ReasonRequest(question="What?", **fields)  # type: ignore[arg-type]
        responses = [response async for response in self.inference.Reason(request)]
        return responses[-1].end.signal_tokens


@dataclass
class SecureCloud:
    """A served toy pair with an authority."""

    server: CloudServer
    """The running server."""
    authority: Authority
    """Authority of its identities."""
    engine: ScriptedEngine
    """Its engine."""
    connect: Callable[[KeyPair | None], Client]
    """Connects with a certificate, or without one."""
    enrollment: EnrollmentServiceStub
    """Stub of `EnrollmentService`."""

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def enrollment_port(self) -> int:
        assert self.server.security
        assert self.server.security.enrollment_port
        return self.server.security.enrollment_port

    @property
    def roots(self) -> bytes:
        return pem(self.authority.certificate)


@pytest.fixture(autouse=True)
def quick_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encrypted_key, "COST", 2)
    monkeypatch.setenv(passphrase.VARIABLE, PASSPHRASE)


@pytest.fixture(autouse=True)
def watches_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files, rights and the database are looked at every few milliseconds."""
    monkeypatch.setattr(authorizer, "WATCH_S", 0.02)
    monkeypatch.setattr(security, "WATCH_S", 0.02)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return make_authority(tmp_path / "authority")


@pytest.fixture
def secure_options(options: ServeOptions, authority: Authority) -> ServeOptions:
    return dataclasses.replace(
        options, tls_dir=authority.directory, enrollment_port=0, max_running=16
    )


@pytest_asyncio.fixture
async def secure(
    toy_pair: Path, secure_options: ServeOptions, authority: Authority, engine: ScriptedEngine
) -> AsyncIterator[SecureCloud]:
    logs.configure("json")
    server = CloudServer(secure_options, PairReasoner.load(toy_pair))
    await server.start()
    await server.open(engine)
    channels: list[grpc.aio.Channel] = []
    roots = pem(authority.certificate)

    def connect(client: KeyPair | None) -> Client:
        anyone = tls_credentials(Pem(roots, "the authority"))
        credentials = client.credentials(roots) if client else anyone
        # Channels of a process share connections to one address otherwise.
        options = [("grpc.use_local_subchannel_pool", 1)]
        channel = open_aio_channel(f"127.0.0.1:{server.port}", credentials, options)
        channels.append(channel)
        return Client(
            channel,
            InferenceServiceStub(channel),
            ControlServiceStub(channel),
            IdentityServiceStub(channel),
        )

    assert server.security
    enrollment = open_aio_channel(
        f"localhost:{server.security.enrollment_port}", tls_credentials(Pem(roots, "the authority"))
    )
    channels.append(enrollment)
    yield SecureCloud(server, authority, engine, connect, EnrollmentServiceStub(enrollment))
    for channel in channels:
        await channel.close()
    await server.stop()


@pytest.fixture(name="refused")
def _refused() -> Callable[[object], object]:
    return refused
