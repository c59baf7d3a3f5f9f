"""`duet-train sign`: keys, signatures, and every way of not getting one."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from duet_contract import encrypted_key
from duet_contract.keys import load_private_key, load_public_key, public_bytes
from duet_contract.manifest import MANIFEST_NAME, load_manifest
from duet_contract.signature import read_signature, verify_signature
from duet_training.export.sign import PASSPHRASE_VARIABLE
from tests.doubles.commands import train_sign as main
from tests.doubles.small_pairs import write_pair

SECRET = "correct horse"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(encrypted_key, "COST", 2)


@pytest.fixture
def pair(tmp_path):
    write_pair(tmp_path / "pair")
    return tmp_path / "pair"


@pytest.fixture
def key(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(PASSPHRASE_VARIABLE, SECRET)
    assert main(["--new-key", str(tmp_path / "key.pem")]) == 0
    capsys.readouterr()
    return tmp_path / "key.pem"


def test_a_new_key_is_encrypted_and_its_owners_alone(key):
    assert b'"kdf": "scrypt"' in key.read_bytes()
    assert b"PRIVATE KEY" not in key.read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    assert public_bytes(load_private_key(key, SECRET)) == load_public_key(
        key.with_name("key.pem.pub")
    )


def test_a_pair_is_signed(pair, key, capsys):
    assert main([str(pair), "--key", str(key)]) == 0
    assert "toy@1.0.0 is signed" in capsys.readouterr().out
    trusted = load_public_key(key.with_name("key.pem.pub"))
    manifest = (pair / MANIFEST_NAME).read_bytes()
    signature = read_signature(pair)
    assert verify_signature(manifest, load_manifest(pair), signature, [trusted]) == trusted


def test_a_key_without_passphrase(pair, tmp_path, monkeypatch):
    monkeypatch.delenv(PASSPHRASE_VARIABLE, raising=False)
    plain = str(tmp_path / "plain.pem")
    assert main(["--new-key", plain, "--no-passphrase"]) == 0
    # It does not ask for one, although --no-passphrase is not repeated.
    assert main([str(pair), "--key", plain]) == 0
    assert main([str(pair), "--key", plain, "--no-passphrase"]) == 0
    assert read_signature(pair) is not None


def refusal(capsys, arguments):
    """The one line that the command ends with, exit code 1."""
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("duet-train: ")
    assert error.count("\n") == 1
    return error


def test_a_key_is_never_overwritten(key, capsys):
    before = key.read_bytes()
    assert "never overwritten" in refusal(capsys, ["--new-key", str(key)])
    assert key.read_bytes() == before


def test_a_short_passphrase(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "short")
    assert "at least 12" in refusal(capsys, ["--new-key", str(tmp_path / "k")])
    assert not list(tmp_path.iterdir())


def test_a_wrong_passphrase(pair, key, monkeypatch, capsys):
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "another one")
    assert "passphrase is wrong" in refusal(capsys, [str(pair), "--key", str(key)])
    assert read_signature(pair) is None


def test_an_encrypted_key_said_to_be_none(pair, key, capsys):
    error = refusal(capsys, [str(pair), "--key", str(key), "--no-passphrase"])
    assert "is encrypted" in error
    assert read_signature(pair) is None


@pytest.fixture
def old(tmp_path):
    """A key as OpenSSL and earlier releases encrypted it."""
    path, made = tmp_path / "old.pem", Ed25519PrivateKey.generate()
    encryption = BestAvailableEncryption(SECRET.encode())
    path.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return path, made


def test_an_encrypted_pem_is_refused_with_the_command_that_mends_it(pair, old, monkeypatch, capsys):
    monkeypatch.setenv(PASSPHRASE_VARIABLE, SECRET)
    path, made = old
    command = f"--encrypt-key {path}"
    assert command in refusal(capsys, [str(pair), "--key", str(path)])
    assert main(command.split()) == 0
    assert b"PRIVATE KEY" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_private_key(path, SECRET).private_bytes_raw() == made.private_bytes_raw()
    assert main([str(pair), "--key", str(path)]) == 0
    assert "needs no change" in refusal(capsys, ["--encrypt-key", str(path)])


def test_nobody_to_ask(pair, key, monkeypatch, capsys):
    monkeypatch.delenv(PASSPHRASE_VARIABLE)
    assert PASSPHRASE_VARIABLE in refusal(capsys, [str(pair), "--key", str(key)])
    assert read_signature(pair) is None


def test_a_key_of_another_kind(pair, tmp_path, capsys):
    other = tmp_path / "ec.pem"
    key = generate_private_key(SECP256R1())
    other.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    error = refusal(capsys, [str(pair), "--key", str(other), "--no-passphrase"])
    assert "not an Ed25519 key" in error
    assert read_signature(pair) is None


def test_an_altered_pair(pair, key, capsys):
    (pair / "reasoner" / "a.json").write_text("[]")
    assert "was altered" in refusal(capsys, [str(pair), "--key", str(key)])
    assert read_signature(pair) is None


@pytest.mark.parametrize(
    "arguments",
    [[], ["x"], ["--key", "k"], ["x", "--new-key", "k"], ["--new-key", "k", "--encrypt-key", "k"]],
)
def test_options_that_make_no_sense(arguments):
    assert main(arguments) == 2
