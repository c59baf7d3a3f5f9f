"""The device's side: enrolling, asking over mutual TLS, renewing; never in the clear."""

import asyncio
import errno
import json
import os
import ssl
import time
from functools import partial, partialmethod

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from duet_cloud.identity.authority import Authority, invite
from duet_contract.addresses import Address
from duet_contract.enrollment_codes import EnrollmentCode
from duet_contract.private_files import write_private
from duet_contract.v1.control_pb2 import DescribePairRequest
from duet_contract.v1.control_pb2_grpc import ControlServiceStub
from duet_contract.v1.enrollment_pb2 import EnrollResponse
from duet_device.cli import main
from duet_device.errors import (
    CloudUnreachable,
    DeviceError,
    ExitCode,
    IdentityProblem,
    ModelProblem,
    UsageProblem,
    VaultError,
)
from duet_device.identity import credentials as identities_of_device
from duet_device.identity import enrollment
from duet_device.identity.channel import open_channel
from duet_device.identity.credentials import (
    canonical,
    identity_for,
    load_identity,
    save_identity,
)
from duet_device.identity.enrollment import enroll
from duet_device.identity.renewal import renew, renew_if_due
from duet_device.link_errors import device_error
from duet_device.trust.publishers import pinned
from tests.doubles import identities
from tests.doubles.tcp import serving

PUBLISHER = bytes(range(32))


@pytest.fixture
def at_home(tmp_path, monkeypatch):
    """A device's home of its own, its vault behind a passphrase."""
    monkeypatch.setenv("DUET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DUET_PASSPHRASE", "correct horse battery")
    monkeypatch.setattr(
        "duet_device.vault.vault._ARGON2", {"iterations": 1, "lanes": 1, "memory_kib": 64}
    )
    return tmp_path / "home"


@pytest.fixture
def code(authority):
    authority.registry.add_publisher("us", PUBLISHER, 0)
    return invite(authority.certificate, authority.registry, "laptop", ["inference"], 1.0)


@pytest.fixture
def enrolled(secure, code, at_home):
    async def go():
        address = f"localhost:{secure.enrollment_port}"
        return (await asyncio.to_thread(enroll, address, str(code))).identity

    return go


def describe(server, credentials=None):
    with open_channel(server, credentials) as channel:
        try:
            return ControlServiceStub(channel).DescribePair(DescribePairRequest(), timeout=60).id
        except grpc.RpcError as error:
            raise device_error(error, server) from error


async def test_the_command_enrols_and_mutual_tls_is_used_from_then_on(
    secure, code, at_home, capsys
):
    command = ["enroll", f"localhost:{secure.enrollment_port}", str(code)]
    assert await asyncio.to_thread(main, command) == ExitCode.OK
    assert "enrolled as laptop" in capsys.readouterr().err
    server = f"localhost:{secure.port}"
    assert await asyncio.to_thread(describe, server) == "toy"
    assert pinned(server) == (PUBLISHER,)
    (entry,) = secure.authority.registry.devices(int(time.time()))
    assert (entry.name, entry.state) == ("laptop", "enrolled")


async def test_the_private_key_never_leaves_and_is_not_readable_at_rest(enrolled, at_home, secure):
    identity = await enrolled()
    key = identity._key()
    assert b"PRIVATE KEY" in key
    body = b"".join(key.splitlines()[1:-1])
    for directory in (at_home, secure.authority.directory):
        for path in directory.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert body not in content
                assert path.name == "server.pem" or b"PRIVATE KEY" not in content
    (path,) = (at_home / "identities").iterdir()
    assert path.stat().st_mode & 0o077 == 0


async def test_the_private_key_is_in_nothing_that_is_sent(enrolled, secure, monkeypatch):
    sent = []

    def received(authority, spent, signing_request, *, call):
        sent.append(signing_request)
        return call(authority, spent, signing_request)

    for name in ("enroll", "renew"):
        call = partial(received, call=getattr(Authority, name))
        monkeypatch.setattr(Authority, name, partialmethod(call))
    identity = await enrolled()
    renewed = await asyncio.to_thread(renew, identity)
    assert len(sent) == 2
    for kept, request in zip((identity, renewed), sent, strict=True):
        key = serialization.load_pem_private_key(kept._key(), None)
        assert x509.load_der_x509_csr(request).public_key() == key.public_key()
        assert key.private_numbers().private_value.to_bytes(32) not in request


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_with_tls_below_13_is_told_nothing(secure, enrolled, code, version):
    """It has the authority's own certificate, and yet neither a call nor a code reaches it."""
    identity = await enrolled()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(secure.authority.directory / "server.pem")
    context.set_alpn_protocols(["h2"])
    context.minimum_version = context.maximum_version = version
    read = []

    def answer(connection):
        with context.wrap_socket(connection, server_side=True) as secured:
            read.append(secured.recv(1))

    with serving(answer) as address:
        with pytest.raises(CloudUnreachable):
            await asyncio.to_thread(describe, address, identity.credentials())
        if version == ssl.TLSVersion.TLSv1_2:
            with pytest.raises(IdentityProblem, match="does not speak TLS 1.3"):
                await asyncio.to_thread(enroll, address, str(code))
    # With 1.3 the same server is talked to: it is the version that was refused.
    assert bool(read) == (version == ssl.TLSVersion.TLSv1_3)


async def test_a_code_of_another_authority(secure, code, at_home, tmp_path):
    """A man in the middle, or a wrong address, does not receive the code's secret."""
    other = identities.make_authority(tmp_path / "other")
    foreign = invite(other.certificate, other.registry, "laptop", ["inference"], 1.0)
    address = f"localhost:{secure.enrollment_port}"
    with pytest.raises(IdentityProblem, match="another fingerprint"):
        await asyncio.to_thread(enroll, address, str(foreign))
    # Even the right secret behind a wrong fingerprint is not told to this server.
    mixed = EnrollmentCode(foreign.fingerprint, code.secret)
    with pytest.raises(IdentityProblem, match="another fingerprint"):
        await asyncio.to_thread(enroll, address, str(mixed))
    assert load_identity(f"localhost:{secure.port}") is None
    await asyncio.to_thread(enroll, address, str(code))


async def test_what_cannot_be_kept_does_not_cost_the_code(secure, code, at_home):
    address = f"localhost:{secure.enrollment_port}"
    with pytest.raises(UsageProblem):
        await asyncio.to_thread(enroll, address, str(code), "localhost:")  # no port
    publishers = at_home / "publishers.json"
    write_private(publishers, b"damaged")
    with pytest.raises(DeviceError, match="publishers"):
        await asyncio.to_thread(enroll, address, str(code))
    publishers.unlink()
    await asyncio.to_thread(enroll, address, str(code))


@pytest.fixture
def spent(monkeypatch):
    """What the authority was sent; `spent.fails`: it does its work, and the answer is lost."""

    class Spent(list):
        fails = False

    spent = Spent()
    enroll_once = Authority.enroll

    def record(authority, secret, signing_request):
        spent.append((secret, signing_request))
        answer = enroll_once(authority, secret, signing_request)
        if spent.fails:
            raise RuntimeError("the answer is lost")
        return answer

    monkeypatch.setattr(Authority, "enroll", record)
    return spent


async def test_a_full_disk_does_not_cost_the_code(secure, code, at_home, spent, monkeypatch):
    address = f"localhost:{secure.enrollment_port}"

    def full(path, content):
        if path.suffix == ".reserved":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_private(path, content)

    with monkeypatch.context() as patched:
        patched.setattr("duet_device.identity.pending.write_private", full)
        with pytest.raises(IdentityProblem, match="No space.*the code was not used: make room"):
            await asyncio.to_thread(enroll, address, str(code))
    assert not spent
    await asyncio.to_thread(enroll, address, str(code))
    assert pinned(f"localhost:{secure.port}") == (PUBLISHER,)


@pytest.mark.parametrize("fails", ["answer", "pin", "save_identity"])
async def test_a_code_whose_answer_is_lost_still_enrolls_the_device(
    secure, code, at_home, spent, monkeypatch, fails
):
    address = f"localhost:{secure.enrollment_port}"

    def full(*_):
        raise ModelProblem("cannot write: No space left on device")

    with monkeypatch.context() as patched:
        if fails == "answer":
            patched.setattr(spent, "fails", True)
        else:
            patched.setattr(f"duet_device.identity.enrollment.{fails}", full)
        with pytest.raises(DeviceError, match="repeat this command"):
            await asyncio.to_thread(enroll, address, str(code))
    (path,) = (at_home / "enrollments").iterdir()
    assert path.stat().st_mode & 0o077 == 0
    assert b"PRIVATE KEY" not in path.read_bytes()
    done = await asyncio.to_thread(enroll, address, str(code))
    # The repeat got the certificate that is stored: the code was spent once.
    assert len(spent) == 1
    assert pinned(done.identity.server) == (PUBLISHER,)
    assert await asyncio.to_thread(describe, done.identity.server) == "toy"
    assert not list((at_home / "enrollments").iterdir())


async def test_a_refused_code_leaves_nothing_behind(secure, code, at_home, enrolled):
    await enrolled()
    with pytest.raises(IdentityProblem, match="used or expired"):
        await enrolled()
    assert not list((at_home / "enrollments").iterdir())


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"service_port": 4_000_000_000}, "named a port"),
        ({"publishers": [b"short"]}, "malformed list of publishers"),
        ({"name": "a\x1b[2J"}, "no valid name"),
    ],
)
def test_what_the_cloud_says_at_enrollment_is_checked(fields, why):
    response = EnrollResponse(**{"service_port": 1, "name": "laptop", **fields})
    with pytest.raises(IdentityProblem, match=why):
        enrollment._check(response, Address("localhost", 2))


async def test_by_a_name_that_is_not_in_the_certificate(secure, code, at_home):
    secure.authority.issue_server(["gpu.example.org"])
    secure.server.security._credentials.refresh()
    with pytest.raises(IdentityProblem, match=r"not for localhost, but for gpu\.example\.org"):
        await asyncio.to_thread(enroll, f"localhost:{secure.enrollment_port}", str(code))


async def test_enrolling_where_nobody_listens(code, at_home):
    with pytest.raises(CloudUnreachable):
        await asyncio.to_thread(enroll, "localhost:1", str(code))


@pytest.mark.parametrize("text", ["nonsense", "duet-nonsense"])
async def test_no_code(at_home, text):
    with pytest.raises(UsageProblem):
        enroll("localhost:1", text)


async def test_a_server_of_another_authority_is_not_talked_to(secure, enrolled, tmp_path):
    identity = await enrolled()
    other = identities.make_authority(tmp_path / "other")
    server_pem = (other.directory / "server.pem").read_bytes()
    (secure.authority.directory / "server.pem").write_bytes(server_pem)
    secure.server.security._credentials.refresh()
    with pytest.raises(CloudUnreachable, match="not one of the authority"):
        await asyncio.to_thread(describe, identity.server)


async def test_a_damaged_identity_is_never_taken_for_none(enrolled, at_home):
    identity = await enrolled()
    (path,) = (at_home / "identities").iterdir()
    whole = path.read_bytes()
    other = json.loads(whole) | {"server": "localhost:1"}
    for content in (b"", b"{}", whole[:100], b"[]", json.dumps(other).encode()):
        path.write_bytes(content)
        with pytest.raises(IdentityProblem, match="damaged"):
            open_channel(identity.server)


async def test_a_modified_encrypted_key(enrolled, at_home):
    identity = await enrolled()
    (path,) = (at_home / "identities").iterdir()
    data = json.loads(path.read_bytes())
    data["key"] = data["key"][:-8] + ("AAAAAAA=" if data["key"].endswith("=") else "AAAAAAAA")
    path.write_text(json.dumps(data))
    with pytest.raises(VaultError, match="this device's key for"):
        open_channel(identity.server)


async def test_a_server_elsewhere_without_an_identity_gets_nothing(at_home):
    with pytest.raises(IdentityProblem, match="not enrolled with 192.0.2.1:50151"):
        open_channel("192.0.2.1:50151")
    assert identity_for("127.0.0.1:50151") is None


@pytest.mark.parametrize(("days", "why"), [(30, "ended on"), (-30, "not valid yet")])
async def test_an_identity_at_another_time(enrolled, monkeypatch, days, why):
    identity = await enrolled()
    now = time.time()
    monkeypatch.setattr(identities_of_device.time, "time", lambda: now + days * 86400)
    with pytest.raises(IdentityProblem, match=why):
        identity.credentials()


async def test_renewal_when_half_of_its_life_has_passed(secure, enrolled, monkeypatch):
    before = await enrolled()
    notes = []
    assert not await asyncio.to_thread(renew_if_due, before.server, notes.append)
    monkeypatch.setattr("duet_device.identity.credentials.RENEW_AFTER", 0.0)
    assert await asyncio.to_thread(renew_if_due, before.server, notes.append)
    after = load_identity(before.server)
    assert after.certificate != before.certificate
    assert after._key() != before._key()
    assert await asyncio.to_thread(describe, before.server) == "toy"
    assert not notes


async def test_a_renewal_that_fails_is_noted_only_near_the_end(secure, enrolled, monkeypatch):
    identity = await enrolled()
    secure.authority.registry.revoke("laptop", int(time.time()))
    monkeypatch.setattr("duet_device.identity.credentials.RENEW_AFTER", 0.0)
    notes = []
    assert not await asyncio.to_thread(renew_if_due, identity.server, notes.append)
    assert not notes
    monkeypatch.setattr("duet_device.identity.renewal._TELL_LEFT", 2.0)
    assert not await asyncio.to_thread(renew_if_due, identity.server, notes.append)
    assert "could not be renewed" in notes[0]


async def test_a_renewed_certificate_for_another_key_is_not_kept(secure, enrolled, monkeypatch):
    identity = await enrolled()
    monkeypatch.setattr(
        secure.authority.__class__,
        "renew",
        lambda authority, serial, _: authority._issue_device(
            "laptop", identities.signing_request()
        ),
    )
    with pytest.raises(IdentityProblem, match="not for this device's key"):
        await asyncio.to_thread(renew, identity)
    assert load_identity(identity.server) == identity


async def test_certificate_files_of_ones_own_pki(secure, at_home, tmp_path, capsys):
    pair = identities.device(secure.authority)
    (tmp_path / "c.pem").write_bytes(pair.certificate)
    (tmp_path / "k.pem").write_bytes(pair.key)
    (tmp_path / "a.pem").write_bytes(secure.roots)
    server = f"localhost:{secure.port}"
    files = [f"--cert={tmp_path / 'c.pem'}", f"--key={tmp_path / 'k.pem'}"]
    assert main(["enroll", server, *files]) == ExitCode.USAGE
    assert main(["enroll", server, *files, f"--ca={tmp_path / 'a.pem'}"]) == ExitCode.OK
    assert await asyncio.to_thread(describe, server) == "toy"
    assert not load_identity(server).due
    (tmp_path / "k.pem").unlink()
    with pytest.raises(IdentityProblem, match=r"k\.pem"):
        open_channel(server)


def test_servers_share_no_file(at_home):
    from duet_device.identity.credentials import Identity

    servers = ["a_b:1", "a:1", "a-b:1", "[::1]:1", "[::2]:1", "A:1"]
    for server in servers:
        save_identity(Identity(canonical(server), "x", ends=1.0))
    assert len(list((at_home / "identities").iterdir())) == len(servers) - 1
    assert load_identity("A.:01").server == "a:1"
