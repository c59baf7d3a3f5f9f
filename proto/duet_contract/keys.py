"""Publisher keys: Ed25519, private in PEM (PKCS #8), public in PEM (SubjectPublicKeyInfo)."""

import hashlib
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from duet_contract.errors import KeyProblem
from duet_contract.private_files import write_private

PUBLIC_KEY_BYTES = 32
# Far above any PEM file with one key.
_MOST_PEM_BYTES = 1 << 16


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """The 32 bytes of the public key."""
    return key.public_key().public_bytes_raw()


def public_pem(raw: bytes) -> bytes:
    """A public key's 32 bytes as PEM.

    Raises:
        KeyProblem: `raw` is no Ed25519 public key.
    """
    try:
        key = Ed25519PublicKey.from_public_bytes(raw)
    except ValueError as error:
        raise KeyProblem(f"an Ed25519 public key has {PUBLIC_KEY_BYTES} bytes") from error
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def fingerprint(raw: bytes) -> str:
    """SHA-256 of the public key's PEM file, as `sha256sum` prints it; signatures name keys so."""
    return hashlib.sha256(public_pem(raw)).hexdigest()


def load_public_key(path: Path) -> bytes:
    """The 32 bytes of the public key in a PEM file.

    Raises:
        KeyProblem: unreadable, no PEM, a private key, or a key of another kind.
    """
    content = _read(path)
    if b"PRIVATE KEY" in content:
        raise KeyProblem(f"{path} is a private key: give the public one, and keep this to yourself")
    try:
        key = serialization.load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyProblem(f"{path} is no public key in PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyProblem(f"{path} is no Ed25519 key")
    return key.public_bytes_raw()


def is_encrypted(path: Path) -> bool:
    """Whether the private key in a PEM file needs a passphrase.

    Raises:
        KeyProblem: unreadable.
    """
    content = _read(path)
    # PKCS #8 and the older form of OpenSSL (RFC 7468, section 11; RFC 1421, section 4.6.1.1).
    return b"ENCRYPTED PRIVATE KEY" in content or b"Proc-Type: 4,ENCRYPTED" in content


def load_private_key(path: Path, passphrase: str | None) -> Ed25519PrivateKey:
    """The private key in a PEM file.

    Raises:
        KeyProblem: unreadable, no private key, of another kind, or the passphrase is wrong,
            missing or not needed.
    """
    content = _read(path)
    secret = passphrase.encode("utf-8") if passphrase is not None else None
    try:
        key = serialization.load_pem_private_key(content, secret)
    except TypeError as error:
        needs = "is not encrypted" if secret is not None else "is encrypted: give its passphrase"
        raise KeyProblem(f"{path} {needs}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        why = "is no private key in PEM" + (", or the passphrase is wrong" if secret else "")
        raise KeyProblem(f"{path} {why}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyProblem(f"{path} is no Ed25519 key")
    return key


def save_private_key(path: Path, key: Ed25519PrivateKey, passphrase: str | None) -> None:
    """Writes a private key for its owner alone, encrypted unless `passphrase` is None.

    Raises:
        KeyProblem: something is there already, or it cannot be written.
    """
    if path.exists():
        raise KeyProblem(f"{path} exists: a key is never overwritten")
    encryption: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(passphrase.encode("utf-8"))
        if passphrase is not None
        else serialization.NoEncryption()
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    try:
        write_private(path, pem)
    except OSError as error:
        raise KeyProblem(f"cannot write {path}: {error.strerror}") from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_PEM_BYTES + 1)
    except OSError as error:
        raise KeyProblem(f"cannot read the key {path}: {error.strerror}") from error
    if len(content) > _MOST_PEM_BYTES:
        raise KeyProblem(f"{path} is too large for a key")
    return content
