"""Publisher keys: Ed25519.

A public key is PEM (SubjectPublicKeyInfo). A private key is encrypted (`duet_contract.encrypted_key`)
or, without a passphrase, PEM (PKCS #8).
"""

import hashlib
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from duet_contract.encrypted_key import (
    MOST_FILE_BYTES,
    decrypt_key,
    encrypt_key,
    is_encrypted_key,
)
from duet_contract.errors import KeyProblem
from duet_contract.private_files import write_private

PUBLIC_KEY_BYTES = 32
_PURPOSE = "publisher"


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """Return the 32 bytes of the public key."""
    return key.public_key().public_bytes_raw()


def public_pem(raw: bytes) -> bytes:
    """Return a public key's 32 bytes as PEM.

    Raises:
        KeyProblem: `raw` is not an Ed25519 public key.
    """
    try:
        key = Ed25519PublicKey.from_public_bytes(raw)
    except ValueError as error:
        raise KeyProblem(f"an Ed25519 public key has {PUBLIC_KEY_BYTES} bytes") from error
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def fingerprint(raw: bytes) -> str:
    """Return the SHA-256 of the public key's PEM file, by which signatures name the key."""
    return hashlib.sha256(public_pem(raw)).hexdigest()


def load_public_key(path: Path) -> bytes:
    """Return the 32 bytes of the public key in a PEM file.

    Raises:
        KeyProblem: the file is unreadable, not PEM, a private key, or a key of another kind.
    """
    content = _read(path)
    if b"PRIVATE KEY" in content:
        raise KeyProblem(f"{path} is a private key: give the public one, and keep this to yourself")
    try:
        key = serialization.load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyProblem(f"{path} is not a public key in PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyProblem(f"{path} is not an Ed25519 key")
    return key.public_bytes_raw()


def is_encrypted(path: Path) -> bool:
    """Return whether a private key needs a passphrase.

    Raises:
        KeyProblem: unreadable.
    """
    content = _read(path)
    return is_encrypted_key(content) or _is_encrypted_pem(content)


def load_private_key(path: Path, passphrase: str | None) -> Ed25519PrivateKey:
    """Load a private key.

    Raises:
        KeyProblem: the file is unreadable, not a private key, of another kind, or encrypted PEM
            (its passphrase is too easily guessed); or the passphrase is wrong, missing or not
            needed.
    """
    content = _read(path)
    if _is_encrypted_pem(content):
        raise KeyProblem(
            f"{path} is encrypted PEM, which protects a passphrase poorly: encrypt it again "
            f"(duet-train sign --encrypt-key {path})"
        )
    encrypted = is_encrypted_key(content)
    if encrypted != (passphrase is not None):
        needs = "is encrypted: give its passphrase" if encrypted else "is not encrypted"
        raise KeyProblem(f"{path} {needs}")
    if passphrase is not None:
        content = decrypt_key(content, passphrase, _PURPOSE, str(path))
        return _ed25519(serialization.load_der_private_key(content, None), path)
    return _load_pem(path, content, None)


def encrypt_private_key(path: Path, passphrase: str) -> None:
    """Encrypt a PEM file with a private key in place.

    Args:
        path: PEM, not encrypted, or with this passphrase.
        passphrase: the key's new passphrase.

    Raises:
        KeyProblem: the file is unreadable, not PEM of an Ed25519 key, or cannot be written; or the
            passphrase is wrong or too short.
    """
    content = _read(path)
    if is_encrypted_key(content):
        raise KeyProblem(f"{path} needs no change: its encryption is up to date")
    key = _load_pem(path, content, passphrase if _is_encrypted_pem(content) else None)
    _write(path, key, passphrase)


def save_private_key(path: Path, key: Ed25519PrivateKey, passphrase: str | None) -> None:
    """Write a private key for its owner alone, encrypted unless `passphrase` is None.

    Raises:
        KeyProblem: the path exists, the file cannot be written, or the passphrase is too short.
    """
    if path.exists():
        raise KeyProblem(f"{path} exists: a key is never overwritten")
    _write(path, key, passphrase)


def _write(path: Path, key: Ed25519PrivateKey, passphrase: str | None) -> None:
    encoding = serialization.Encoding.PEM if passphrase is None else serialization.Encoding.DER
    content = key.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    if passphrase is not None:
        content = encrypt_key(content, passphrase, _PURPOSE)
    try:
        write_private(path, content)
    except OSError as error:
        raise KeyProblem(f"cannot write {path}: {error.strerror}") from error


def _is_encrypted_pem(content: bytes) -> bool:
    # PKCS #8 and the older form of OpenSSL (RFC 7468, section 11; RFC 1421, section 4.6.1.1).
    return b"ENCRYPTED PRIVATE KEY" in content or b"Proc-Type: 4,ENCRYPTED" in content


def _load_pem(path: Path, content: bytes, passphrase: str | None) -> Ed25519PrivateKey:
    secret = None if passphrase is None else passphrase.encode("utf-8")
    try:
        return _ed25519(serialization.load_pem_private_key(content, secret), path)
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        why = "is not a private key in PEM" + (", or the passphrase is wrong" if secret else "")
        raise KeyProblem(f"{path} {why}") from error


def _ed25519(key: object, path: Path) -> Ed25519PrivateKey:
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyProblem(f"{path} is not an Ed25519 key")
    return key


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_FILE_BYTES + 1)
    except OSError as error:
        raise KeyProblem(f"cannot read the key {path}: {error.strerror}") from error
    if len(content) > MOST_FILE_BYTES:
        raise KeyProblem(f"{path} is too large for a key")
    return content
