"""Certificates of the operator's own PKI: URI names, mapped to roles by the access file."""

import asyncio
import datetime
import ssl

import grpc
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from duet_cloud import logs
from duet_cloud.options import ServeOptions
from duet_cloud.reasoner import PairReasoner
from duet_cloud.server import CloudServer
from duet_contract.channels import open_aio_channel
from duet_contract.private_files import write_private
from duet_contract.v1.control_pb2 import SERVING_STATE_READY, GetCapacityRequest
from duet_contract.v1.control_pb2_grpc import ControlServiceStub
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from tests.doubles.identities import KeyPair, look_again, tls

ACCESS = """
denied = ["spiffe://example.org/laptop/stolen"]
[roles]
"spiffe://example.org/laptop/*" = ["inference"]
"spiffe://example.org/laptop/none" = []
"spiffe://example.org/ops" = ["control", "inference"]
[limits."spiffe://example.org/laptop/slow"]
rate = 0
"""


class Pki:
    """An authority as others make it: RSA, with a subject, no extensions of ours."""

    def __init__(self):
        self.key = rsa.generate_private_key(65537, 2048)
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example CA")])
        self.certificate = self._build(self.name, self.key.public_key(), [], authority=True)

    def _build(self, subject, public_key, names, authority=False):
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, *names):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")])
        certificate = self._build(subject, key.public_key(), list(names))
        plain = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return KeyPair(plain, certificate.public_bytes(serialization.Encoding.PEM))

    def device(self, *uris):
        return self.issue(*(x509.UniformResourceIdentifier(uri) for uri in uris))

    @property
    def roots(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def pki():
    return Pki()


@pytest_asyncio.fixture
async def served(toy_pair, engine, pki, tmp_path):
    logs.configure("json")
    server_pair = pki.issue(x509.DNSName("localhost"))
    (tmp_path / "cert.pem").write_bytes(server_pair.certificate)
    write_private(tmp_path / "key.pem", server_pair.key)
    (tmp_path / "ca.pem").write_bytes(pki.roots)
    access = tmp_path / "access.toml"
    access.write_text(ACCESS)
    options = ServeOptions(
        port=0,
        tls_cert=tmp_path / "cert.pem",
        tls_key=tmp_path / "key.pem",
        tls_client_ca=tmp_path / "ca.pem",
        access=access,
    )
    server = CloudServer(options, PairReasoner.load(toy_pair))
    await server.start()
    await server.open(engine)
    channels = []

    def connect(pair):
        channel = open_aio_channel(
            f"localhost:{server.port}",
            pair.credentials(pki.roots),
            [("grpc.use_local_subchannel_pool", 1)],
        )
        channels.append(channel)
        return channel

    connect.access = access
    connect.port = server.port
    connect.server = server
    yield connect
    for channel in channels:
        await channel.close()
    await server.stop()


async def ask(channel):
    request = ReasonRequest(question="What?")
    return [response async for response in InferenceServiceStub(channel).Reason(request)]


async def test_a_uri_name_has_the_roles_of_what_covers_it(served, pki, refused):
    laptop = served(pki.device("spiffe://example.org/laptop/7"))
    assert (await ask(laptop))[-1].end.signal_tokens == 10
    control = ControlServiceStub(laptop).GetCapacity(GetCapacityRequest())
    assert (await refused(control)).code() == grpc.StatusCode.PERMISSION_DENIED
    ops = served(pki.device("spiffe://example.org/ops"))
    assert (await ask(ops))[-1].end.signal_tokens == 10
    capacity = await ControlServiceStub(ops).GetCapacity(GetCapacityRequest())
    assert capacity.state == SERVING_STATE_READY


@pytest.mark.parametrize(
    ("uris", "why"),
    [
        (["spiffe://example.org/other"], "no role"),
        (["spiffe://example.org/laptop/none"], "no role"),
        (["spiffe://example.org/laptop/stolen"], "denied"),
        ([], "exactly one URI"),
        (["spiffe://example.org/ops", "spiffe://example.org/laptop/1"], "exactly one URI"),
    ],
)
async def test_names_that_are_not_admitted(served, pki, refused, uris, why):
    error = await refused(ask(served(pki.device(*uris))))
    assert error.code() == grpc.StatusCode.UNAUTHENTICATED
    assert why in error.details()


async def test_limits_by_uri_name(served, pki, refused):
    error = await refused(ask(served(pki.device("spiffe://example.org/laptop/slow"))))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_denied_while_a_call_runs(served, pki, engine, refused):
    engine.pause_s = 30.0
    running = asyncio.create_task(ask(served(pki.device("spiffe://example.org/laptop/7"))))
    while not engine.running:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    served.access.write_text(ACCESS.replace("stolen", "7"))
    error = await refused(running)
    assert error.code() == grpc.StatusCode.UNAUTHENTICATED
    assert "denied" in error.details()


async def test_an_access_file_that_broke_leaves_what_was(served, pki, refused):
    served.access.write_text("[roles")
    await look_again(served.server)
    responses = await ask(served(pki.device("spiffe://example.org/laptop/7")))
    assert responses[-1].end.signal_tokens == 10
    error = await refused(ask(served(pki.device("spiffe://example.org/laptop/stolen"))))
    assert "denied" in error.details()


async def _taken_up(served, client, before):
    """The server's certificate once it is not `before` any more."""
    for _ in range(600):
        shown = await asyncio.to_thread(tls, served.port, ssl.TLSVersion.TLSv1_3, client)
        if shown.serial_number != before:
            break
        await asyncio.sleep(0.1)
    return shown.serial_number


async def test_files_that_are_replaced_one_after_the_other_are_taken_up(
    served, pki, tmp_path, capsys
):
    client = pki.device("spiffe://example.org/laptop/7")
    standing = served(client)
    assert (await ask(standing))[-1].end.signal_tokens == 10
    before = await _taken_up(served, client, None)
    fresh = pki.issue(x509.DNSName("localhost"))
    (tmp_path / "cert.pem").write_bytes(fresh.certificate)
    await look_again(served.server)
    # The key is still the old one's: the old certificate stays in use.
    assert "is not the key of" in capsys.readouterr().err
    assert await _taken_up(served, client, None) == before
    write_private(tmp_path / "key.pem", fresh.key)
    expected = x509.load_pem_x509_certificate(fresh.certificate).serial_number
    assert await _taken_up(served, client, before) == expected
    for channel in (standing, served(client)):
        assert (await ask(channel))[-1].end.signal_tokens == 10


async def test_clients_of_another_authority_are_taken_up_and_the_old_ones_refused(
    served, pki, tmp_path, refused
):
    other = Pki()
    theirs, ours = (each.device("spiffe://example.org/laptop/7") for each in (other, pki))
    error = await refused(ask(served(theirs)))
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    (tmp_path / "ca.pem").write_bytes(other.roots)
    await look_again(served.server)
    assert (await ask(served(theirs)))[-1].end.signal_tokens == 10
    assert (await refused(ask(served(ours)))).code() == grpc.StatusCode.UNAVAILABLE
