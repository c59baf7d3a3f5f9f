"""Encrypt what the device stores, with a key from the system's keyring or a passphrase.

The key is random and stored in the system's keyring. Without a keyring, a passphrase encrypts it
through Argon2id. An encrypted value is AES-256-GCM with the header and its purpose as associated
data, so that a value encrypted for one purpose cannot replace another.

    value = b"DV" · version (1 byte) · key's id (8 bytes) · nonce (12 bytes) · ciphertext and tag

`vault.json` in the device's home says which key is used and where it is stored. It holds no secret
but, with a passphrase, the encrypted key.
"""

import contextlib
import json
import os
import secrets
import sys
import unicodedata
from pathlib import Path
from typing import Any, Self

from duet_contract.json_data import parse_json
from duet_device.errors import VaultError, VaultLocked
from duet_device.home import home, is_there
from duet_device.vault import system_keyring

PASSPHRASE_VARIABLE = "DUET_PASSPHRASE"  # noqa: S105 (a name)
VAULT_NAME = "vault.json"

_MAGIC = b"DV\x01"
_ID_BYTES, _NONCE_BYTES, _TAG_BYTES = 8, 12, 16
_HEADER_BYTES = len(_MAGIC) + _ID_BYTES
_KEY_BYTES = 32
# RFC 9106, section 4, second recommended option. Kept in vault.json, so that it can be raised.
_ARGON2 = {"iterations": 3, "lanes": 4, "memory_kib": 64 * 1024}
_MOST_ARGON2 = {"iterations": 64, "lanes": 64, "memory_kib": 4 * 1024 * 1024}
_KEY_PURPOSE = "vault key"

# Opened before in this process: the passphrase is asked for, and its key derived, once.
_opened: dict[Path, "Vault"] = {}


class Vault:
    """Encrypts and decrypts with one key; `open` finds or creates the key.

    Attributes:
        id: of the key, 16 hexadecimal digits.
    """

    def __init__(self, key: bytes, id_: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._header = _MAGIC + id_
        self._cipher = AESGCM(key)
        self.id = id_.hex()

    @classmethod
    def open(cls, directory: Path | None = None, *, create: bool = True) -> Self:
        """Open the vault of a directory with its key from the keyring or the passphrase.

        The passphrase is `DUET_PASSPHRASE`, or asked for on the terminal. A new vault's key goes
        into the system's keyring, unless `DUET_PASSPHRASE` is set or there is no keyring.

        Args:
            directory: the device's home, if None.
            create: create a vault if the directory has no vault.

        Raises:
            VaultLocked: there is no keyring that holds the key, and no passphrase.
            VaultError: the passphrase is wrong, or the vault is damaged or missing.
        """
        directory = _real(directory or home())
        if directory not in _opened:
            path = directory / VAULT_NAME
            made = None
            if not is_there(path):
                if not create:
                    raise VaultError(f"there is no vault in {directory}")
                made = _create(path)
            _opened[directory] = cls(*(made or _read(path)))
        vault = _opened[directory]
        assert isinstance(vault, cls)
        return vault

    def encrypt(self, data: bytes, purpose: str) -> bytes:
        """Encrypt `data`; only the same `purpose` decrypts it."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return self._header + nonce + self._cipher.encrypt(nonce, data, self._bound(purpose))

    def decrypt(self, encrypted: bytes, purpose: str) -> bytes:
        """Decrypt a value that was encrypted for `purpose`.

        Raises:
            VaultError: it was encrypted with another key, for another purpose, by a newer version,
                or was modified.
        """
        from cryptography.exceptions import InvalidTag

        if (
            len(encrypted) < _HEADER_BYTES + _NONCE_BYTES + _TAG_BYTES
            or encrypted[:2] != _MAGIC[:2]
        ):
            raise VaultError("it is not encrypted data, or was cut short")
        if encrypted[:3] != _MAGIC:
            raise VaultError(
                f"it is encrypted in format {encrypted[2]}, this DUET reads {_MAGIC[2]}"
            )
        owner = encrypted[len(_MAGIC) : _HEADER_BYTES].hex()
        if owner != self.id:
            raise VaultError(
                f"it was encrypted with another key ({owner}, this device's is {self.id})"
            )
        nonce = encrypted[_HEADER_BYTES : _HEADER_BYTES + _NONCE_BYTES]
        try:
            return self._cipher.decrypt(
                nonce, encrypted[_HEADER_BYTES + _NONCE_BYTES :], self._bound(purpose)
            )
        except InvalidTag:
            raise VaultError("it was modified, or encrypted for another purpose") from None

    def _bound(self, purpose: str) -> bytes:
        return self._header + purpose.encode("utf-8")


def passphrase_wanted(directory: Path | None = None) -> bool:
    """Return whether opening the vault would ask for its passphrase; read only one small file."""
    path = _real(directory or home(create=False)) / VAULT_NAME
    return (
        path.parent not in _opened
        and not os.environ.get(PASSPHRASE_VARIABLE)
        and is_there(path)
        and _load(path)["key"] == "passphrase"
    )


def key_place(directory: Path | None = None) -> str:
    """Return where the vault's key is stored, in words; empty without a vault."""
    path = _real(directory or home(create=False)) / VAULT_NAME
    if not is_there(path):
        return ""
    return {"keyring": "the system's keyring", "passphrase": "a passphrase"}[_load(path)["key"]]


def forget_key() -> None:
    """Delete the vault's key from the system's keyring, if it is there."""
    path = _real(home(create=False)) / VAULT_NAME
    with contextlib.suppress(VaultError):
        if is_there(path) and (data := _load(path))["key"] == "keyring":
            system_keyring.remove(data["id"])


def _real(directory: Path) -> Path:
    # Unlike Path.resolve, this never fails; using the path reports what is wrong with it.
    return Path(os.path.realpath(directory))


def _create(path: Path) -> tuple[bytes, bytes] | None:
    """Write vault.json with a new key; None if another process was faster."""
    key, id_ = secrets.token_bytes(_KEY_BYTES), secrets.token_bytes(_ID_BYTES)
    description: dict[str, Any] = {"version": 1, "id": id_.hex()}
    in_keyring = not os.environ.get(PASSPHRASE_VARIABLE) and system_keyring.put(id_.hex(), key)
    if in_keyring:
        description["key"] = "keyring"
    else:
        passphrase = _passphrase(new=True)
        salt = secrets.token_bytes(16)
        wrapped = Vault(_derive_key(passphrase, salt, _ARGON2), id_).encrypt(key, _KEY_PURPOSE)
        description |= {
            "key": "passphrase",
            "argon2id": _ARGON2,
            "salt": salt.hex(),
            "sealed_key": wrapped.hex(),
        }
    draft = path.with_name(f".{VAULT_NAME}.{id_.hex()}")
    try:
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            json.dump(description, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            # Unlike a rename, a link never replaces the vault that another process just made.
            os.link(draft, path)
        except FileExistsError:
            if in_keyring:
                system_keyring.remove(id_.hex())
            return None
    except OSError as error:
        raise VaultError(f"cannot write the vault {path}: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)
    return key, id_


def _load(path: Path) -> dict[str, Any]:
    """vault.json, checked.

    Raises:
        VaultError: it cannot be read, or is not what `_create` writes.
    """
    try:
        data = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise VaultError(f"cannot read the vault {path}: {error}") from error
    try:
        if data["version"] > 1:
            raise VaultError(f"{path} has version {data['version']}, this DUET reads 1: upgrade")
        sound = len(bytes.fromhex(data["id"])) == _ID_BYTES
        if data["key"] == "passphrase":
            bytes.fromhex(data["salt"]), bytes.fromhex(data["sealed_key"])
            given = data["argon2id"]
            # A modified file must not request more work than a machine can do.
            sound &= all(
                type(given[name]) is int and 1 <= given[name] <= most
                for name, most in _MOST_ARGON2.items()
            )
        else:
            sound &= data["key"] == "keyring"
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise VaultError(
            f"the vault {path} is damaged; restore it to decrypt what was encrypted with it"
        )
    result: dict[str, Any] = data
    return result


def _read(path: Path) -> tuple[bytes, bytes]:
    """Key and its id."""
    data = _load(path)
    id_ = bytes.fromhex(data["id"])
    if data["key"] == "keyring":
        key = system_keyring.take(data["id"])
        if len(key) != _KEY_BYTES:
            raise VaultError(f"the system's keyring holds no valid key of the vault {path}")
        return key, id_
    salt, encrypted = bytes.fromhex(data["salt"]), bytes.fromhex(data["sealed_key"])
    for passphrase in _spellings(_passphrase(new=False)):
        vault = Vault(_derive_key(passphrase, salt, data["argon2id"]), id_)
        with contextlib.suppress(VaultError):
            return vault.decrypt(encrypted, _KEY_PURPOSE), id_
    raise VaultError(f"wrong passphrase, or {path} was altered")


def _spellings(passphrase: str) -> list[str]:
    """Return the passphrase as given, then as other keyboards, editors and shells write it.

    They differ in how an accent is composed, and in a byte order mark or line end around it.
    """
    bare = passphrase.removeprefix("\ufeff").rstrip("\r\n")
    composed = [unicodedata.normalize(form, bare) for form in ("NFC", "NFD")]
    return list(dict.fromkeys([passphrase, bare, *composed]))


def _derive_key(passphrase: str, salt: bytes, cost: dict[str, int]) -> bytes:
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    try:
        return Argon2id(
            salt=salt,
            length=_KEY_BYTES,
            iterations=cost["iterations"],
            lanes=cost["lanes"],
            memory_cost=cost["memory_kib"],
        ).derive(passphrase.encode("utf-8", "surrogateescape"))
    except (ValueError, MemoryError) as error:
        raise VaultError(f"deriving the key (Argon2id) failed: {error}") from error


def _passphrase(*, new: bool) -> str:
    if passphrase := os.environ.get(PASSPHRASE_VARIABLE, ""):
        return passphrase
    if not _terminal():
        why = "there is no system keyring" if new else "the vault is locked with a passphrase"
        raise VaultLocked(f"{why}: set {PASSPHRASE_VARIABLE}, or run this on a terminal")
    import getpass

    try:
        if not new:
            return getpass.getpass("Passphrase of this device's vault: ")
        first = getpass.getpass("There is no system keyring. New passphrase of the vault: ")
        if not first:
            raise VaultLocked("the passphrase must not be empty")
        if getpass.getpass("Repeat it: ") != first:
            raise VaultLocked("the two passphrases differ")
    except EOFError:
        raise VaultLocked("no passphrase was given") from None
    except UnicodeDecodeError as error:
        raise VaultLocked(f"the passphrase is not {error.encoding.upper()}") from None
    return first


def _terminal() -> bool:
    """Return whether a user can be asked, even if the question comes through a pipe."""
    if not sys.stderr.isatty():
        return False
    if sys.stdin.isatty():
        return True
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
