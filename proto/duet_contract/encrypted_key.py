"""A private key encrypted with a passphrase: scrypt and AES-256-GCM, in a JSON file.

`cryptography` 50 writes PKCS #8 with 2,048 rounds of PBKDF2 and no other choice (OWASP asks for
600,000), and OpenSSH's format needs another package (`bcrypt`), takes 4 KiB of memory a guess, and
does not authenticate its ciphertext. So both kinds of keys, an authority's and a publisher's, use
this format: a memory-hard function and an authenticated cipher of `cryptography`.

Sources: RFC 7914 (scrypt; N is a power of two, memory is 128 * N * r bytes), NIST SP 800-38D (GCM;
a random nonce of 96 bits, here for a key that encrypts once), and the OWASP Password Storage Cheat
Sheet, whose first choice of parameters for scrypt is N = 2^17, r = 8, p = 1.
"""

import base64
import json
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from duet_contract.errors import KeyProblem
from duet_contract.json_data import parse_json

COST = 1 << 17
"""scrypt's N for new files: 128 MiB of memory, and about 0.4 s."""
MOST_COST = 1 << 18
"""Largest N that a file may ask for: 256 MiB of memory."""
MOST_FILE_BYTES = 1 << 16
"""Largest file with a key."""
LEAST_PASSPHRASE = 12
"""Characters that the passphrase of a new key has at least."""

_SCHEMA = 2
_BLOCK_SIZE, _PARALLELISM = 8, 1
_FIXED = {"kdf": "scrypt", "r": _BLOCK_SIZE, "p": _PARALLELISM, "cipher": "AES-256-GCM"}


def is_encrypted_key(content: bytes) -> bool:
    """Return whether a file's content is of this format, damaged or not; PEM is not."""
    return content.lstrip().startswith(b"{")


def encrypt_key(key: bytes, passphrase: str, purpose: str) -> bytes:
    """Encrypt a key.

    Args:
        key: the private key, PKCS #8 in DER.
        passphrase: of at least `LEAST_PASSPHRASE` characters.
        purpose: what the key is for; it decrypts for no other purpose.

    Returns:
        The file's content.

    Raises:
        KeyProblem: the passphrase is too short.

    Examples:
        >>> content = encrypt_key(b"key", "correct horse battery", "publisher")
        >>> decrypt_key(content, "correct horse battery", "publisher", "key.json")
        b'key'
    """
    if len(passphrase) < LEAST_PASSPHRASE:
        raise KeyProblem(f"the passphrase must have at least {LEAST_PASSPHRASE} characters")
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    cipher = AESGCM(_derive(passphrase, salt, COST))
    data = {"salt": salt, "nonce": nonce, "ciphertext": cipher.encrypt(nonce, key, _aad(purpose))}
    encoded = {name: base64.b64encode(value).decode() for name, value in data.items()}
    content = {"schema": _SCHEMA, "purpose": purpose, **_FIXED, "n": COST, **encoded}
    return json.dumps(content, indent=2).encode() + b"\n"


def decrypt_key(content: bytes, passphrase: str, purpose: str, name: str) -> bytes:
    """Decrypt what `encrypt_key` wrote, now or in schema 1.

    Args:
        content: the file's.
        passphrase: the key's.
        purpose: what the key is for.
        name: what messages call the file.

    Returns:
        The private key, PKCS #8 in DER.

    Raises:
        KeyProblem: damaged, of a newer schema, for another purpose, asks for more memory than
            `MOST_COST` needs, or the passphrase is wrong.
    """
    try:
        if len(content) > MOST_FILE_BYTES:
            raise ValueError("too large")
        fields = parse_json(content)
        if fields["schema"] == 1:
            fields |= {**_FIXED, "n": fields["cost"], "ciphertext": fields["sealed"]}
            fields["purpose"] = purpose
        elif fields["schema"] != _SCHEMA:
            raise KeyProblem(
                f"{name} has schema {fields['schema']}, newer than this DUET: update it"
            )
        cost = int(fields["n"])
        if {key: fields[key] for key in _FIXED} != _FIXED or not 2 <= cost <= MOST_COST:
            raise ValueError("unknown parameters")
        if fields["purpose"] != purpose:
            raise KeyProblem(f"{name} is the key of the {fields['purpose']}, not of the {purpose}")
        salt, nonce, ciphertext = (
            base64.b64decode(fields[key], validate=True) for key in ("salt", "nonce", "ciphertext")
        )
        derived = _derive(passphrase, salt, cost)
    except (ValueError, KeyError, TypeError) as error:
        raise KeyProblem(f"{name} is damaged: restore it from a backup") from error
    except MemoryError as error:
        mib = 128 * cost * _BLOCK_SIZE >> 20
        raise KeyProblem(f"not enough memory to decrypt {name}: free {mib} MiB") from error
    try:
        return AESGCM(derived).decrypt(nonce, ciphertext, _aad(purpose))
    except (InvalidTag, ValueError) as error:
        raise KeyProblem(f"{name}: the passphrase is wrong, or the file was modified") from error


def _aad(purpose: str) -> bytes:
    return f"duet {purpose} key 1".encode()


def _derive(passphrase: str, salt: bytes, cost: int) -> bytes:
    scrypt = Scrypt(salt=salt, length=32, n=cost, r=_BLOCK_SIZE, p=_PARALLELISM)
    return scrypt.derive(passphrase.encode("utf-8"))
