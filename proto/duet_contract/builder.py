"""The key of this machine's user, for pairs that are built here.

Its signature only says that this machine built the pair. The key is not encrypted, since builds do
not ask for a passphrase, and no other machine trusts it. A publisher signs pairs for others
(`duet-train sign`).
"""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from duet_contract.directories import data_directory
from duet_contract.errors import KeyProblem, NoDirectoryError
from duet_contract.keys import load_private_key, public_bytes, save_private_key
from duet_contract.private_files import read_private, write_private


def builder_key() -> Ed25519PrivateKey:
    """Return the builder's key, made on first use, for its owner alone.

    Raises:
        KeyProblem: it cannot be read or written, or others may have written it.
        NoDirectoryError: the user has no home directory to keep it in.
    """
    path = _directory() / "builder.pem"
    if path.exists():
        read_private(path)
        key = load_private_key(path, None)
    else:
        key = Ed25519PrivateKey.generate()
        save_private_key(path, key, None)
    try:
        write_private(_public_file(), public_bytes(key))
    except OSError as error:
        raise KeyProblem(f"cannot write {_public_file()}: {error.strerror}") from error
    return key


def builder_public() -> tuple[bytes, ...]:
    """Return the builder's public key, raw; nothing if no pair was built here, or there is no home.

    Raises:
        KeyProblem: others may have written it.
    """
    try:
        return (read_private(_public_file()),)
    except (FileNotFoundError, NotADirectoryError, NoDirectoryError):
        return ()
    except OSError as error:
        raise KeyProblem(f"cannot read {_public_file()}: {error.strerror}") from error


def _directory() -> Path:
    return data_directory() / "builder"


def _public_file() -> Path:
    return _directory() / "builder.pub"
