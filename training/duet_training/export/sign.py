"""`duet-train sign`: creates a publisher's key, and signs a pair with it.

The signature (`model.sig`) covers the manifest and every file of the pair; see
`duet_contract.signature` for its format.
"""

import getpass
import os
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from duet_contract import keys
from duet_contract.encrypted_key import LEAST_PASSPHRASE
from duet_contract.manifest import SIGNATURE_NAME
from duet_contract.pairs import find_pair
from duet_contract.signature import sign_pair
from duet_training.errors import SigningError

PASSPHRASE_VARIABLE = "DUET_KEY_PASSPHRASE"  # noqa: S105 (its name)


def create_key(path: Path, *, encrypted: bool) -> None:
    """Create a publisher's key, and `path`.pub for devices.

    Raises:
        SigningError: A file exists or cannot be written, or there is no passphrase.
    """
    public = path.with_name(path.name + ".pub")
    for file in (path, public):
        if file.exists():
            raise SigningError(f"{file} exists: a key is never overwritten")
    passphrase = _passphrase(path, twice=True) if encrypted else None
    if passphrase is not None and len(passphrase) < LEAST_PASSPHRASE:
        raise SigningError(f"the passphrase must have at least {LEAST_PASSPHRASE} characters")
    key = Ed25519PrivateKey.generate()
    raw = keys.public_bytes(key)
    keys.save_private_key(path, key, passphrase)
    try:
        public.write_bytes(keys.public_pem(raw))
    except OSError as error:
        raise SigningError(f"cannot write {public}: {error.strerror}") from error
    print(f"{path}: private key; keep it to yourself, and a copy in a safe place")
    print(f"{public}: public key; on each device: duet-device trust {public.name}")
    print(f"fingerprint: {keys.fingerprint(raw)}")


def encrypt_key(path: Path) -> None:
    """Encrypt a PEM key in place, with the same passphrase.

    Raises:
        SigningError, ContractError: The key or the passphrase is missing.
    """
    keys.encrypt_private_key(path, _passphrase(path))
    print(f"{path}: encrypted again, with the same passphrase")


def sign_with(pair: str, path: Path, *, encrypted: bool) -> None:
    """Sign a pair with the key in `path`.

    Raises:
        SigningError, ContractError: The pair, the key or the passphrase is missing.
    """
    directory = find_pair(pair)
    # A key that is not encrypted needs no passphrase, whatever the options say.
    ask = encrypted and keys.is_encrypted(path)
    key = keys.load_private_key(path, _passphrase(path) if ask else None)
    manifest = sign_pair(directory, key)
    print(f"{manifest.reference} is signed: {directory / SIGNATURE_NAME}")
    print(f"by: {keys.fingerprint(keys.public_bytes(key))}")


def _passphrase(path: Path, *, twice: bool = False) -> str:
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise SigningError(
            f"there is no terminal to ask for the passphrase of {path}: set ${PASSPHRASE_VARIABLE}, "
            "or pass --no-passphrase"
        )
    try:
        first = getpass.getpass(f"Passphrase of {path}: ")
        if twice and getpass.getpass("Again: ") != first:
            raise SigningError("the two passphrases differ")
    except (EOFError, KeyboardInterrupt) as error:
        raise SigningError("no passphrase was given") from error
    return first
