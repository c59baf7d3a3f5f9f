"""A private key at rest: scrypt over a passphrase, then AES-256-GCM.

PKCS #8's own encryption, as `cryptography` writes it, stretches the passphrase with 2,048 rounds of
PBKDF2, which is little against a stolen file.
"""

import base64
import json
import secrets
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from duet_cloud.errors import CredentialsError

# About 128 MiB and 0.4 s a try (OWASP's recommendation for scrypt). Kept in the file.
COST = 1 << 17
_MOST_COST = 1 << 20
_PURPOSE = b"duet authority key 1"
LEAST_PASSPHRASE = 12


def seal(key: bytes, passphrase: str) -> bytes:
    """The file's content for a key."""
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    sealed = AESGCM(_stretch(passphrase, salt, COST)).encrypt(nonce, key, _PURPOSE)
    fields = {"salt": salt, "nonce": nonce, "sealed": sealed}
    content: dict[str, Any] = {"schema": 1, "kdf": "scrypt", "cost": COST}
    content |= {name: base64.b64encode(value).decode() for name, value in fields.items()}
    return json.dumps(content, indent=2).encode() + b"\n"


def unseal(content: bytes, passphrase: str, what: str) -> bytes:
    """The key in a file that `seal` wrote; `what` names it in messages.

    Raises:
        CredentialsError: malformed, altered, or another passphrase.
    """
    try:
        fields = json.loads(content)
        cost = int(fields["cost"])
        if fields["schema"] != 1 or fields["kdf"] != "scrypt" or not 2 <= cost <= _MOST_COST:
            raise ValueError("unknown form")
        salt, nonce, sealed = (
            base64.b64decode(fields[name], validate=True) for name in ("salt", "nonce", "sealed")
        )
        stretched = _stretch(passphrase, salt, cost)
    except (ValueError, KeyError, TypeError) as error:
        raise CredentialsError(f"{what} is damaged: restore it from a copy") from error
    try:
        return AESGCM(stretched).decrypt(nonce, sealed, _PURPOSE)
    except (InvalidTag, ValueError) as error:
        raise CredentialsError(f"{what}: the passphrase is wrong, or the file altered") from error


def _stretch(passphrase: str, salt: bytes, cost: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=cost, r=8, p=1).derive(passphrase.encode("utf-8"))
