"""Identities without a cloud: bad files, other spellings, and places that cannot be read."""

import datetime
import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from duet_device.cli import main
from duet_device.errors import ExitCode, IdentityExpired, IdentityProblem
from duet_device.events import Event
from duet_device.identity.channel import open_channel
from duet_device.identity.credentials import (
    Identity,
    canonical,
    identity_for,
    load_identity,
    save_identity,
)
from duet_device.pairs.pair import Pair
from tests.doubles.asking import answer, notes
from tests.doubles.decoder import ScriptedDecoder

SERVER = "localhost:50151"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUET_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def write_certificate(directory: Path, name: str, ends: float = 1.0) -> tuple[Path, Path]:
    """NAME.pem, valid until so many days from now, and NAME.key."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")]))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - datetime.timedelta(days=9))
        .not_valid_after(now + datetime.timedelta(days=ends))
        .sign(key, hashes.SHA256())
    )
    paths = directory / f"{name}.pem", directory / f"{name}.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


def with_files(directory: Path, server: str = SERVER, ends: float = 1.0) -> tuple[Path, Path]:
    """Certificate and key of a stored identity with certificate files."""
    certificate, key = write_certificate(directory, "device", ends)
    authority, _ = write_certificate(directory, "authority")
    save_identity(Identity(server, "", files=(certificate, key, authority)))
    return certificate, key


@pytest.mark.parametrize("server", ["::1:50151", "[127.0.0.1]:50151", "http://127.0.0.1:50151"])
@pytest.mark.parametrize("command", ["ask", "pull", "enroll"])
def test_a_malformed_address_is_misuse(
    server: str, command: str, installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = {
        "ask": ["ask", "--server", server, "why?"],
        "pull": ["pull", "--server", server],
        "enroll": ["enroll", server, "--cert", __file__, "--key", __file__, "--ca", __file__],
    }[command]
    assert main(arguments) == ExitCode.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert "is not HOST:PORT" in line
    assert "cloud.example.org:50151" in line


@pytest.mark.parametrize(
    ("typed", "address"),
    [("Cloud.example.org ", "cloud.example.org:50151"), ("[::1]", "[::1]:50151"), ("a:1", "a:1")],
)
def test_a_host_alone_means_the_default_port(typed: str, address: str) -> None:
    assert canonical(typed) == address


@pytest.mark.parametrize("bad", ["cert", "key", "ca"])
@pytest.mark.parametrize("content", [b"", b"\0\xff random", b"-----BEGIN CERTIFICATE-----\nAA"])
def test_enrolling_with_bad_files_is_refused_at_once(
    bad: str, content: bytes, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate, key = write_certificate(tmp_path, "device")
    files = {"cert": certificate, "key": key, "ca": write_certificate(tmp_path, "ca")[0]}
    files[bad].write_bytes(content)
    options = [f"--{name}={path}" for name, path in files.items()]
    assert main(["enroll", SERVER, *options]) == ExitCode.IDENTITY
    (line,) = capsys.readouterr().err.splitlines()
    assert str(files[bad]) in line
    assert not home.exists()


def test_enrolling_with_the_key_of_another_certificate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate, key = write_certificate(tmp_path, "device")
    authority, other = write_certificate(tmp_path, "ca")
    options = [f"--cert={certificate}", f"--ca={authority}"]
    assert main(["enroll", SERVER, *options, f"--key={other}"]) == ExitCode.IDENTITY
    assert "is not the key of the certificate" in capsys.readouterr().err
    assert main(["enroll", SERVER, *options, f"--key={key}"]) == ExitCode.OK


def test_a_file_that_was_emptied_since(tmp_path: Path) -> None:
    """gRPC would end the process."""
    for path in with_files(tmp_path):
        content = path.read_bytes()
        path.write_bytes(b"")
        with pytest.raises(IdentityProblem, match=f"{path.name} is empty"):
            open_channel(SERVER)
        path.write_bytes(content)
    open_channel(SERVER).close()


def test_a_device_with_an_expired_certificate_answers_alone(
    pair: Pair, decoder: ScriptedDecoder, tmp_path: Path
) -> None:
    with_files(tmp_path, ends=-1.0)
    events: list[Event] = []
    outcome = answer(pair, decoder, events, server=SERVER)
    assert (outcome.receipt.source, outcome.receipt.answer) == ("device", "häppy 🙂")
    (note,) = notes(events)
    assert "expired on" in note
    assert note.endswith("the device answers alone")
    with pytest.raises(IdentityExpired):
        answer(pair, decoder, server=SERVER, require_cloud=True)
    helpless = Pair(pair.directory, pair.manifest.model_copy(update={"alone": None}))
    with pytest.raises(IdentityExpired, match="cannot answer alone"):
        answer(helpless, decoder, server=SERVER)


@pytest.mark.parametrize("other", ["127.0.0.1:50151", "[::1]:50151", "127.0.0.2:50151"])
def test_another_spelling_of_the_server_is_told_the_right_one(other: str, tmp_path: Path) -> None:
    with_files(tmp_path)
    with pytest.raises(IdentityProblem, match=f"use --server {SERVER}$"):
        identity_for(other)
    assert identity_for("127.0.0.1:50152") is None
    with pytest.raises(
        IdentityProblem, match=f"not enrolled with 192.0.2.1:50151 but with {SERVER}"
    ):
        identity_for("192.0.2.1:50151")


def test_a_home_that_is_no_directory_holds_no_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUET_HOME", "/dev/null/duet")
    assert load_identity(SERVER) is None
    assert identity_for(SERVER) is None


def test_a_damaged_identity_does_not_hide_the_others(tmp_path: Path, home: Path) -> None:
    with_files(tmp_path)
    for number, content in enumerate(["", "[]", '{"server": 7}', json.dumps({"server": "x"})]):
        (home / "identities" / f"{number}.json").write_text(content)
    with pytest.raises(IdentityProblem, match=f"use --server {SERVER}"):
        identity_for("127.0.0.1:50151")


def test_enrolling_ends_with_a_command_that_works(
    installed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], pair: Pair
) -> None:
    certificate, key = write_certificate(tmp_path, "device")
    authority, _ = write_certificate(tmp_path, "ca")
    command = ["enroll", SERVER, f"--cert={certificate}", f"--key={key}", f"--ca={authority}"]
    assert main(command) == ExitCode.OK
    assert capsys.readouterr().err.endswith('next: duet-device ask "What is 17 + 25?"\n')
    assert main(["config", "get", "server"]) == ExitCode.OK
    assert capsys.readouterr().out == f"{SERVER}\n"
    assert main(["config", "set", "server", "another.example.org"]) == ExitCode.OK
    assert main(command) == ExitCode.OK
    assert f'next: duet-device ask --server {SERVER} "' in capsys.readouterr().err
