"""Encrypted keys: read by the passphrase and for the purpose alone, within bounds, as documented."""

import base64
import contextlib
import json

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from hypothesis import given
from hypothesis import strategies as st

from duet_contract import encrypted_key
from duet_contract.encrypted_key import decrypt_key, encrypt_key, is_encrypted_key
from duet_contract.errors import KeyProblem

SECRET = "correct horse battery"
KEY = bytes(range(48))
FULL_COST = encrypted_key.COST


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(encrypted_key, "COST", 2)


@pytest.fixture
def fields():
    return json.loads(encrypt_key(KEY, SECRET, "publisher"))


def opened(fields, purpose="publisher"):
    return decrypt_key(json.dumps(fields).encode(), SECRET, purpose, "the key")


@given(st.binary(), st.text(st.characters(codec="utf-8"), min_size=12))
def test_what_is_encrypted_is_decrypted(key, passphrase):
    content = encrypt_key(key, passphrase, "publisher")
    assert is_encrypted_key(content)
    assert decrypt_key(content, passphrase, "publisher", "the key") == key


def test_two_files_of_a_key_share_nothing(fields):
    again = json.loads(encrypt_key(KEY, SECRET, "publisher"))
    assert all(fields[name] != again[name] for name in ("salt", "nonce", "ciphertext"))


@pytest.mark.slow
def test_the_documented_parameters(monkeypatch):
    """The OWASP Password Storage Cheat Sheet's for scrypt; written by another implementation."""
    monkeypatch.setattr(encrypted_key, "COST", FULL_COST)
    fields = json.loads(encrypt_key(KEY, SECRET, "publisher"))
    assert (fields["kdf"], fields["n"], fields["r"], fields["p"]) == ("scrypt", 2**17, 8, 1)
    salt, nonce, data = (base64.b64decode(fields[k]) for k in ("salt", "nonce", "ciphertext"))
    assert (len(salt), len(nonce)) == (16, 12)
    derived = Scrypt(salt=salt, length=32, n=2**17, r=8, p=1).derive(SECRET.encode())
    assert AESGCM(derived).decrypt(nonce, data, b"duet publisher key 1") == KEY


def test_a_short_passphrase():
    with pytest.raises(KeyProblem, match="at least 12 characters"):
        encrypt_key(KEY, "elevenchars", "publisher")


def test_another_passphrase():
    content = encrypt_key(KEY, SECRET, "publisher")
    with pytest.raises(KeyProblem, match=r"^the key: the passphrase is wrong, or the file was mod"):
        decrypt_key(content, SECRET + "!", "publisher", "the key")


def test_another_purpose(fields):
    with pytest.raises(KeyProblem, match="the key of the publisher, not of the authority"):
        opened(fields, "authority")
    with pytest.raises(KeyProblem, match="modified"):
        opened({**fields, "purpose": "authority"}, "authority")


def test_schema_1_is_read():
    """Authorities' keys before this format served publishers."""
    salt, nonce = bytes(16), bytes(12)
    derived = Scrypt(salt=salt, length=32, n=2, r=8, p=1).derive(SECRET.encode())
    data = AESGCM(derived).encrypt(nonce, KEY, b"duet authority key 1")
    content = {"schema": 1, "kdf": "scrypt", "cost": 2}
    for name, value in (("salt", salt), ("nonce", nonce), ("sealed", data)):
        content[name] = base64.b64encode(value).decode()
    assert opened(content, "authority") == KEY


def test_a_newer_schema(fields):
    with pytest.raises(KeyProblem, match="schema 3, newer than this DUET"):
        opened({**fields, "schema": 3})


@pytest.mark.parametrize(
    "change",
    [
        {"n": 2**19},
        {"n": 2**62},
        {"n": 3},
        {"n": 0},
        {"n": None},
        {"r": 1 << 20},
        {"p": 1 << 20},
        {"kdf": "pbkdf2"},
        {"cipher": "none"},
        {"salt": "*"},
        {"nonce": 7},
        {"ciphertext": None},
    ],
)
def test_what_a_file_may_not_ask_for(fields, change, monkeypatch):
    used = []
    monkeypatch.setattr(
        encrypted_key, "Scrypt", lambda **asked: used.append(asked) or Scrypt(**asked)
    )
    with pytest.raises(KeyProblem, match="damaged"):
        opened({**fields, **change})
    assert all(asked["n"] <= 4 for asked in used)


@pytest.mark.parametrize("name", ["schema", "kdf", "n", "r", "p", "cipher", "salt", "ciphertext"])
def test_a_missing_field(fields, name):
    del fields[name]
    with pytest.raises(KeyProblem, match="damaged"):
        opened(fields)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"{" * 40_000, b"[" * 60_000, b"{}" + b" " * 70_000]
)
def test_what_is_no_such_file(content):
    with pytest.raises(KeyProblem, match="the key is damaged: restore it from a backup"):
        decrypt_key(content, SECRET, "publisher", "the key")


@given(st.data())
def test_a_modified_file(data):
    content = bytearray(encrypt_key(KEY, SECRET, "publisher"))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(KeyProblem):
        # White space may differ.
        assert decrypt_key(bytes(content), SECRET, "publisher", "the key") == KEY


def test_without_enough_memory(fields, monkeypatch):
    class Starved:
        def __init__(self, **_):
            pass

        def derive(self, _):
            raise MemoryError

    monkeypatch.setattr(encrypted_key, "Scrypt", Starved)
    with pytest.raises(KeyProblem, match="not enough memory to decrypt the key: free 256 MiB"):
        opened({**fields, "n": 2**18})
