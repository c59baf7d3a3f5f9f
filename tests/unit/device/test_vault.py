"""The vault: what it encrypts, for whom it opens, and its errors."""

import getpass
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring

from duet_device.errors import ExitCode, Interrupted, VaultError, VaultLocked
from duet_device.vault import system_keyring, vault
from duet_device.vault.vault import Vault
from tests.doubles.keyring import (
    ForgetfulKeyring,
    LockedKeyring,
    MemoryKeyring,
    PlaintextKeyring,
)

KEY = bytes(range(32))


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryKeyring]:
    """A system with a keyring, and no vault opened yet."""
    backend = MemoryKeyring()
    use(backend)
    monkeypatch.delenv(vault.PASSPHRASE_VARIABLE, raising=False)
    monkeypatch.setattr(vault, "_opened", {})
    # What protects a passphrase costs time that tests do not have.
    monkeypatch.setattr(vault, "_ARGON2", {"iterations": 1, "lanes": 1, "memory_kib": 64})
    yield backend
    use(NoKeyring())


def use(backend: KeyringBackend) -> None:
    keyring.set_keyring(backend)


def again(directory: Path) -> Vault:
    """The vault as another process would open it."""
    vault._opened.clear()
    return Vault.open(directory, create=False)


@given(st.binary(max_size=300), st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_encrypted_data_decrypts_for_its_purpose_alone(data: bytes, purpose: str) -> None:
    safe = Vault(KEY, bytes(8))
    encrypted = safe.encrypt(data, purpose)
    assert safe.decrypt(encrypted, purpose) == data
    assert safe.encrypt(data, purpose) != encrypted
    if len(data) > 3:
        assert data not in encrypted
    with pytest.raises(VaultError, match="another purpose"):
        safe.decrypt(encrypted, purpose + "x")


def test_every_altered_bit_and_every_cut_is_reported() -> None:
    safe = Vault(KEY, bytes(8))
    encrypted = safe.encrypt(b"a secret of some length", "test")
    for position in range(len(encrypted) * 8):
        altered = bytearray(encrypted)
        altered[position // 8] ^= 1 << position % 8
        with pytest.raises(VaultError):
            safe.decrypt(bytes(altered), "test")
    for length in range(len(encrypted)):
        with pytest.raises(VaultError):
            safe.decrypt(encrypted[:length], "test")
    with pytest.raises(VaultError):
        safe.decrypt(encrypted + b"x", "test")


def test_another_key_and_a_newer_format_are_named() -> None:
    encrypted = Vault(bytes(32), b"\1" * 8).encrypt(b"x", "test")
    with pytest.raises(VaultError, match="another key .0101010101010101, this device's is 00000"):
        Vault(KEY, bytes(8)).decrypt(encrypted, "test")
    with pytest.raises(VaultError, match="format 2, this DUET reads 1"):
        Vault(KEY, b"\1" * 8).decrypt(b"DV\2" + encrypted[3:], "test")


def test_key_lies_in_the_keyring_alone(system: MemoryKeyring, tmp_path: Path) -> None:
    first = Vault.open(tmp_path)
    encrypted = first.encrypt(b"kept", "test")
    assert again(tmp_path).decrypt(encrypted, "test") == b"kept"
    (kept,) = system.kept.values()
    path = tmp_path / vault.VAULT_NAME
    assert kept not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    assert [file.name for file in tmp_path.iterdir()] == [vault.VAULT_NAME]
    assert vault.key_place(tmp_path) == "the system's keyring"
    assert not vault.passphrase_wanted(tmp_path)


@pytest.mark.parametrize("backend", [NoKeyring, PlaintextKeyring, LockedKeyring, ForgetfulKeyring])
def test_without_a_keyring_that_keeps_secrets_nothing_is_kept_in_the_clear(
    backend: type[KeyringBackend], system: MemoryKeyring, tmp_path: Path
) -> None:
    use(backend())
    with pytest.raises(VaultLocked, match="no system keyring: set DUET_PASSPHRASE") as caught:
        Vault.open(tmp_path)
    assert caught.value.exit_code == ExitCode.VAULT
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "use_it",
    [
        lambda: system_keyring.put("name", KEY),
        lambda: system_keyring.take("name"),
        lambda: system_keyring.remove("name"),
    ],
)
def test_ctrl_c_at_the_keyrings_dialog_ends_the_command(
    use_it: Callable[[], object], system: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dialog(*_: str) -> None:
        raise Interrupted("interrupted")

    for method in ("set_password", "get_password", "delete_password"):
        monkeypatch.setattr(MemoryKeyring, method, dialog)
    with pytest.raises(Interrupted) as caught:
        use_it()
    assert caught.value.exit_code == ExitCode.INTERRUPTED


def test_passphrase_from_the_environment(
    system: MemoryKeyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUET_PASSPHRASE", "häppy horse")
    encrypted = Vault.open(tmp_path).encrypt(b"kept", "test")
    assert system.kept == {}
    assert again(tmp_path).decrypt(encrypted, "test") == b"kept"
    assert not vault.passphrase_wanted(tmp_path)
    assert vault.key_place(tmp_path) == "a passphrase"
    monkeypatch.setenv("DUET_PASSPHRASE", "happy horse")
    with pytest.raises(VaultError, match="wrong passphrase"):
        again(tmp_path)
    monkeypatch.delenv("DUET_PASSPHRASE")
    assert vault.passphrase_wanted(tmp_path)
    with pytest.raises(VaultLocked, match="locked with a passphrase: set DUET_PASSPHRASE"):
        again(tmp_path)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A terminal, and what the user types there."""
    answers: list[str] = []

    def read(_: str) -> str:
        if not answers:
            raise EOFError
        return answers.pop(0)

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(getpass, "getpass", read)
    return answers


def test_passphrase_typed_twice_and_then_once(
    system: MemoryKeyring, tmp_path: Path, typed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    use(NoKeyring())
    typed += ["one", "one"]
    encrypted = Vault.open(tmp_path).encrypt(b"kept", "test")
    # Known to this process by now.
    assert Vault.open(tmp_path).decrypt(encrypted, "test") == b"kept"
    typed += ["one"]
    assert again(tmp_path).decrypt(encrypted, "test") == b"kept"
    typed += ["two"]
    with pytest.raises(VaultError, match="wrong passphrase"):
        again(tmp_path)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    with pytest.raises(VaultLocked, match="set DUET_PASSPHRASE"):
        again(tmp_path)


@pytest.mark.parametrize(
    ("answers", "said"),
    [(["one", "two"], "differ"), ([""], "empty"), ([], "no passphrase")],
)
def test_no_vault_without_a_passphrase_that_is_meant(
    answers: list[str], said: str, system: MemoryKeyring, tmp_path: Path, typed: list[str]
) -> None:
    use(NoKeyring())
    typed += answers
    with pytest.raises(VaultLocked, match=said):
        Vault.open(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_keyring_that_lost_or_changed_the_key(system: MemoryKeyring, tmp_path: Path) -> None:
    Vault.open(tmp_path)
    (name,) = system.kept
    system.kept[name] = "no key"
    with pytest.raises(VaultError, match="no valid key"):
        again(tmp_path)
    system.kept.clear()
    with pytest.raises(VaultError, match="does not have the vault's key"):
        again(tmp_path)
    use(LockedKeyring())
    with pytest.raises(VaultLocked, match="collection is locked"):
        again(tmp_path)
    use(NoKeyring())
    with pytest.raises(VaultLocked, match="cannot be reached"):
        again(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"version": "1"},
        {"id": "abc"},
        {"key": "none"},
        {"salt": "zz"},
        {"sealed_key": None},
        {"argon2id": {}},
        {"argon2id": {"iterations": 1, "lanes": 1, "memory_kib": 1 << 40}},
    ],
)
def test_a_damaged_vault_is_reported_and_stays(
    change: dict[str, object],
    system: MemoryKeyring,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DUET_PASSPHRASE", "one")
    Vault.open(tmp_path)
    path = tmp_path / vault.VAULT_NAME
    damaged = json.dumps({**json.loads(path.read_text()), **change})
    path.write_text(damaged)
    with pytest.raises(VaultError, match=r"damaged|upgrade"):
        again(tmp_path)
    assert path.read_text() == damaged


def test_another_process_makes_the_vault_first(
    system: MemoryKeyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / vault.VAULT_NAME
    mine = Vault.open(tmp_path)
    encrypted = mine.encrypt(b"kept", "test")
    # As if the file had come into being after the look for it.
    vault._create(path)
    assert again(tmp_path).decrypt(encrypted, "test") == b"kept"
    assert len(system.kept) == 1
    assert [file.name for file in tmp_path.iterdir()] == [vault.VAULT_NAME]


@pytest.mark.parametrize(
    ("made", "given"),
    [
        ("Zo\u00eb", "Zoe\u0308"),
        ("Zoe\u0308", "Zo\u00eb"),
        ("secret", "\ufeffsecret\r\n"),
        ("secret\n", "secret\n"),
    ],
)
def test_a_passphrase_opens_however_it_is_written(
    made: str, given: str, tmp_path: Path, system: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(vault.PASSPHRASE_VARIABLE, made)
    encrypted = Vault.open(tmp_path).encrypt(b"data", "test")
    monkeypatch.setenv(vault.PASSPHRASE_VARIABLE, given)
    assert again(tmp_path).decrypt(encrypted, "test") == b"data"
    monkeypatch.setenv(vault.PASSPHRASE_VARIABLE, "secret ")
    with pytest.raises(VaultError, match="wrong passphrase"):
        again(tmp_path)


@pytest.mark.parametrize("value", [1.5, True, "3", 10**9])
@pytest.mark.parametrize("name", ["iterations", "lanes", "memory_kib"])
def test_a_cost_that_is_none_is_damage(
    name: str, value: object, tmp_path: Path, system: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(vault.PASSPHRASE_VARIABLE, "pass")
    Vault.open(tmp_path)
    path = tmp_path / vault.VAULT_NAME
    data = json.loads(path.read_text())
    data["argon2id"][name] = value
    path.write_text(json.dumps(data))
    with pytest.raises(VaultError, match="is damaged"):
        again(tmp_path)


def test_no_vault_is_there(system: MemoryKeyring, tmp_path: Path) -> None:
    with pytest.raises(VaultError, match="no vault"):
        again(tmp_path)


@pytest.mark.parametrize("content", [b"[" * 100_000, b"[]", b"\xff{", b"", b'{"version": NaN}'])
def test_a_vault_that_is_no_json(content: bytes, tmp_path: Path, system: MemoryKeyring) -> None:
    (tmp_path / vault.VAULT_NAME).write_bytes(content)
    with pytest.raises(VaultError, match=r"vault\.json"):
        again(tmp_path)
