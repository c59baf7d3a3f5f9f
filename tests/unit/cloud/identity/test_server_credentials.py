"""A server that cannot load its credentials does not start; one that runs takes up new ones."""

import asyncio
import dataclasses
import datetime
import os
import ssl
from pathlib import Path

import grpc
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from duet_cloud import logs
from duet_cloud.checking import check
from duet_cloud.errors import CredentialsError, UsageError
from duet_cloud.identity import certificates
from duet_cloud.identity.authority import unlock
from duet_cloud.identity.certificates import key_pem, pem
from duet_cloud.identity.credentials import ServerCredentials, ServerFiles
from duet_cloud.options import ServeOptions
from duet_cloud.reasoner import PairReasoner
from duet_cloud.server import CloudServer
from duet_contract.channels import open_aio_channel
from duet_contract.private_files import write_private
from duet_contract.v1.enrollment_pb2 import RenewRequest
from duet_contract.v1.enrollment_pb2_grpc import IdentityServiceStub
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from tests.doubles import identities
from tests.doubles.identities import look_again
from tests.doubles.unread import until

LOCALHOST = ["localhost", "127.0.0.1"]
WITHOUT_TLS = dict.fromkeys(("tls_cert", "tls_key", "tls_client_ca", "access"))


@pytest.fixture
def own_pki(authority, tmp_path):
    """Options of a server with its own certificate files."""
    key = certificates.new_key()
    write_server(authority, tmp_path, key, days=1)
    (tmp_path / "ca.pem").write_bytes(pem(authority.certificate))
    access = tmp_path / "access.toml"
    access.write_text('[roles]\n"spiffe://test/device/*" = ["inference"]\n')
    return ServeOptions(
        port=0,
        tls_cert=tmp_path / "cert.pem",
        tls_key=tmp_path / "key.pem",
        tls_client_ca=tmp_path / "ca.pem",
        access=access,
    )


def write_server(authority, directory, key, days, begins=0):
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=begins)
    certificate = certificates.server_certificate(
        authority.certificate, authority.key, key.public_key(), LOCALHOST, days, now
    )
    (directory / "cert.pem").write_bytes(pem(certificate))
    write_private(directory / "key.pem", key_pem(key))


def start(toy_pair, options):
    return CloudServer(options, PairReasoner.load(toy_pair))


@pytest.mark.parametrize("name", ["authority.pem", "authority.key", "registry.db", "server.pem"])
@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
async def test_a_damaged_authority(toy_pair, secure_options, authority, name, content):
    authority.registry.database.close()
    (authority.directory / name).unlink()
    if content is not None:
        (authority.directory / name).write_bytes(content)
        if name == "registry.db":
            for path in authority.directory.glob("registry.db-*"):
                path.unlink()
    with pytest.raises(CredentialsError):
        start(toy_pair, secure_options)


@pytest.mark.parametrize("name", ["cert.pem", "key.pem", "ca.pem", "access.toml"])
@pytest.mark.parametrize("content", [None, b"nonsense"])
async def test_damaged_files(toy_pair, own_pki, tmp_path, name, content):
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CredentialsError, match=name):
        start(toy_pair, own_pki)


async def test_the_key_of_another_certificate(toy_pair, own_pki, tmp_path):
    (tmp_path / "key.pem").write_bytes(key_pem(certificates.new_key()))
    with pytest.raises(CredentialsError, match="not the key of"):
        start(toy_pair, own_pki)


@pytest.mark.parametrize("mode", [0o604, 0o606, 0o777])
async def test_a_key_that_every_user_may_read(toy_pair, own_pki, tmp_path, mode):
    (tmp_path / "key.pem").chmod(mode)
    with pytest.raises(CredentialsError, match=r"every user .*key\.pem: chmod o-rw .*key\.pem$"):
        start(toy_pair, own_pki)
    (tmp_path / "key.pem").chmod(0o640)
    await start(toy_pair, own_pki).stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes files of other users")
def test_what_root_writes_is_the_services(authority):
    directory = authority.directory
    os.chown(directory, 65534, 65534)
    authority.issue_server()
    assert (directory / "server.pem").stat().st_uid == 65534


async def test_an_encrypted_key(toy_pair, own_pki, tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    content = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(CredentialsError, match="unencrypted"):
        start(toy_pair, own_pki)


@pytest.mark.parametrize(("begins", "days", "why"), [(-3, 1, "ended"), (2, 4, "not valid yet")])
async def test_a_servers_certificate_at_another_time(
    toy_pair, own_pki, authority, tmp_path, begins, days, why
):
    write_server(authority, tmp_path, certificates.new_key(), days, begins)
    with pytest.raises(CredentialsError, match=why):
        start(toy_pair, own_pki)


async def test_authorities_of_devices_that_have_all_ended(toy_pair, own_pki, authority, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    write_server(authority, other, certificates.new_key(), days=1, begins=-3)
    ended = (other / "cert.pem").read_bytes()
    file = tmp_path / "ca.pem"
    # Next to one that lasts.
    file.write_bytes(ended + file.read_bytes())
    await start(toy_pair, own_pki).stop()
    file.write_bytes(ended)
    with pytest.raises(CredentialsError, match=r"every certificate in .*ca\.pem has ended"):
        start(toy_pair, own_pki)


async def test_a_certificate_of_your_own_pki_that_ends_soon(
    toy_pair, own_pki, authority, tmp_path, capsys
):
    logs.configure("json")
    write_server(authority, tmp_path, certificates.new_key(), days=10, begins=-9)
    server = start(toy_pair, own_pki)
    await server.start()
    await look_again(server)
    await server.stop()
    assert capsys.readouterr().err.count("the server's certificate ends on") == 1
    value = server.metrics.registry.get_sample_value
    ends = authority.certificate.not_valid_after_utc
    labels = {"certificate": "client_authority"}
    assert value("duet_certificate_end_timestamp_seconds", labels) == ends.timestamp()
    tomorrow = server.security._credentials.certificate.not_valid_after_utc
    said = list(check(dataclasses.replace(own_pki, pairs=(str(toy_pair),))))
    assert f"certificate {tmp_path / 'cert.pem'}: ends on {tomorrow:%Y-%m-%d}" in said


async def test_a_devices_certificate_for_the_server(toy_pair, own_pki, authority, tmp_path):
    pair = identities.device(authority)
    (tmp_path / "cert.pem").write_bytes(pair.certificate)
    (tmp_path / "key.pem").write_bytes(pair.key)
    with pytest.raises(CredentialsError, match="not for servers"):
        start(toy_pair, own_pki)


async def test_a_replica_without_the_database(toy_pair, secure_options, authority):
    authority.registry.database.close()
    (authority.directory / "registry.db").unlink()
    with pytest.raises(CredentialsError, match="database that replicas share .DUET_DATABASE."):
        start(toy_pair, dataclasses.replace(secure_options, enrollment_port=None))


async def test_a_wrong_passphrase(toy_pair, secure_options, monkeypatch):
    monkeypatch.setenv("DUET_AUTHORITY_PASSPHRASE", "something else entirely")
    with pytest.raises(CredentialsError, match="passphrase is wrong"):
        start(toy_pair, secure_options)


async def test_no_passphrase(toy_pair, secure_options, monkeypatch):
    monkeypatch.delenv("DUET_AUTHORITY_PASSPHRASE")
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    with pytest.raises(UsageError, match="passphrase"):
        start(toy_pair, secure_options)


async def test_without_the_passphrase_it_serves_and_signs_nothing(
    toy_pair, options, authority, engine, refused, monkeypatch
):
    monkeypatch.delenv("DUET_AUTHORITY_PASSPHRASE")
    server = start(toy_pair, dataclasses.replace(options, tls_dir=authority.directory))
    await server.start()
    await server.open(engine)
    assert server.security.enrollment_port is None
    credentials = identities.device(authority).credentials(pem(authority.certificate))
    async with open_aio_channel(f"127.0.0.1:{server.port}", credentials) as channel:
        call = InferenceServiceStub(channel).Reason(ReasonRequest(question="What?"))
        assert [response async for response in call][-1].end.signal_tokens == 10
        request = RenewRequest(signing_request=identities.signing_request())
        error = await refused(IdentityServiceStub(channel).Renew(request))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED
    await server.stop()


@pytest.mark.parametrize("unlocked", [True, False])
async def test_a_server_that_was_off_until_its_certificate_had_ended(
    toy_pair, secure_options, authority, unlocked
):
    path = authority.directory / "server.pem"
    ended = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=9)
    key = certificates.new_key()
    certificate = certificates.server_certificate(
        authority.certificate, authority.key, key.public_key(), LOCALHOST, 5, ended
    )
    path.write_bytes(key_pem(key) + pem(certificate))
    if unlocked:
        await start(toy_pair, secure_options).stop()
        assert pem(certificate) not in path.read_bytes()
    else:
        with pytest.raises(CredentialsError, match="duet-cloud admin rotate"):
            start(toy_pair, dataclasses.replace(secure_options, enrollment_port=None))
        assert pem(certificate) in path.read_bytes()


def test_an_altered_key_file(authority):
    path = authority.directory / "authority.key"
    content = path.read_bytes()
    for position in range(0, len(content), 7):
        altered = bytearray(content)
        altered[position] ^= 4
        path.write_bytes(altered)
        try:
            opened = unlock(authority.directory, identities.PASSPHRASE)
        except CredentialsError:
            continue
        # White space, or the cost written otherwise: the key is what it was.
        assert opened.key.private_numbers() == authority.key.private_numbers()


def test_the_key_is_not_readable_at_rest(authority):
    plain = authority.key.private_numbers().private_value.to_bytes(32)
    for path in authority.directory.iterdir():
        content = path.read_bytes()
        assert plain not in content
        assert path.name == "server.pem" or b"PRIVATE KEY" not in content
        assert path.name in ("registry.db", "registry.db-wal", "registry.db-shm") or (
            path.stat().st_mode & 0o077 == 0
        )
    assert authority.directory.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"tls_cert": None}, "belong together"),
        ({"access": None}, "belong together"),
        ({"enrollment_port": 0}, "needs an authority"),
        ({"replica_name": "x"}, "needs an authority"),
        (WITHOUT_TLS | {"replica_name": "x"}, "--replica-name needs identities"),
        (WITHOUT_TLS | {"passphrase_file": Path("x")}, "--passphrase-file needs identities"),
    ],
)
async def test_options_that_lack_each_other(toy_pair, own_pki, changes, why):
    with pytest.raises(UsageError, match=why):
        start(toy_pair, dataclasses.replace(own_pki, **changes))


async def _serial(secure, pair):
    shown = await asyncio.to_thread(identities.tls, secure.port, ssl.TLSVersion.TLSv1_3, pair)
    return shown.serial_number


async def test_the_servers_certificate_is_replaced_while_it_serves(secure):
    pair = identities.device(secure.authority)
    client = secure.connect(pair)
    await client.ask()
    before = await _serial(secure, pair)
    fresh = secure.authority.issue_server()
    for _ in range(600):
        if await _serial(secure, pair) != before:
            break
        await asyncio.sleep(0.1)
    assert await _serial(secure, pair) == fresh.serial_number
    # The open connection continues, and new ones are trusted.
    assert await client.ask() == await secure.connect(pair).ask() == 10


async def test_a_certificate_that_cannot_be_used_changes_nothing(secure, capsys):
    pair = identities.device(secure.authority)
    before = await _serial(secure, pair)
    (secure.authority.directory / "server.pem").write_bytes(b"half of it")
    await look_again(secure.server)
    assert await _serial(secure, pair) == before
    assert capsys.readouterr().err.count("certificate not reloaded") == 1


def test_a_certificate_that_is_not_valid_yet_is_taken_up_once_it_is(
    own_pki, authority, tmp_path, monkeypatch, capsys
):
    logs.configure("json")
    files = ServerFiles(own_pki.tls_cert, own_pki.tls_key, own_pki.tls_client_ca)
    credentials = ServerCredentials(files)
    before = credentials.certificate.serial_number
    write_server(authority, tmp_path, certificates.new_key(), days=4, begins=2)
    for _ in range(3):
        assert not credentials.refresh()
    assert credentials.certificate.serial_number == before
    assert capsys.readouterr().err.count("not valid yet, but from") == 1
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=2)
    monkeypatch.setattr("duet_cloud.identity.credentials._now", lambda: later)
    assert credentials.refresh()
    assert credentials.certificate.serial_number != before
    assert not credentials.refresh()


async def test_an_unlocked_authority_replaces_a_certificate_before_it_ends(secure, monkeypatch):
    pair = identities.device(secure.authority)
    before = await _serial(secure, pair)
    monkeypatch.setattr("duet_cloud.identity.security.RENEW_LEFT", 1.0)
    for _ in range(600):
        if await _serial(secure, pair) != before:
            break
        await asyncio.sleep(0.1)
    assert await _serial(secure, pair) != before


async def test_a_certificate_that_cannot_be_replaced_is_told_and_the_rest_is_kept_up(
    secure, monkeypatch, capsys
):
    (secure.authority.directory / "server.pem").unlink()
    monkeypatch.setattr("duet_cloud.identity.security.RENEW_LEFT", 1.0)
    said: list[str] = []

    def told() -> int:
        said.append(capsys.readouterr().err)
        return "".join(said).count("duet-cloud admin rotate --host")

    await until(lambda: told() > 0)
    await asyncio.sleep(0.1)
    assert told() == 1
    assert not any(task.done() for task in secure.server.security._tasks)


@pytest.fixture
def brief_authority(monkeypatch):
    """Authorities that are made from now on end in ten days, before the server's 30."""
    life = datetime.timedelta(days=10)
    monkeypatch.setattr("duet_cloud.identity.certificates._AUTHORITY_LIFE", life)


async def test_near_the_authoritys_end(brief_authority, secure, monkeypatch, capsys):
    """It is logged once a day, and no certificate replaces one that is valid as long."""
    ends = secure.authority.certificate.not_valid_after_utc
    pair = identities.device(secure.authority)
    before = await _serial(secure, pair)
    monkeypatch.setattr("duet_cloud.identity.security.RENEW_LEFT", 1.0)
    await look_again(secure.server)
    assert await _serial(secure, pair) == before
    assert capsys.readouterr().err.count(f"certificate ends on {ends:%Y-%m-%d}") == 1


async def test_past_the_authoritys_end(toy_pair, secure_options, authority, monkeypatch):
    later = authority.certificate.not_valid_after_utc + datetime.timedelta(seconds=1)
    monkeypatch.setattr("duet_cloud.identity.authority_directory._now", lambda: later)
    with pytest.raises(CredentialsError, match="authority in .* ended on"):
        start(toy_pair, secure_options)


async def test_metrics_tell_when_certificates_end(secure):
    value = secure.server.metrics.registry.get_sample_value
    name = "duet_certificate_end_timestamp_seconds"
    ends = secure.server.security._credentials.certificate.not_valid_after_utc
    assert value(name, {"certificate": "server"}) == ends.timestamp()
    root = secure.authority.certificate.not_valid_after_utc
    assert value(name, {"certificate": "authority"}) == root.timestamp()
