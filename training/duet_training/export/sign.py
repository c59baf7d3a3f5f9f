"""`python -m duet_training.export.sign`: makes a publisher's key, and signs a pair with it.

The signature (`model.sig`) covers the manifest and every file of the pair; see
`duet_contract.signature` for its format.
"""

import argparse
import getpass
import os
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from duet_contract.encrypted_key import LEAST_PASSPHRASE
from duet_contract.keys import (
    encrypt_private_key,
    fingerprint,
    is_encrypted,
    load_private_key,
    public_bytes,
    public_pem,
    save_private_key,
)
from duet_contract.manifest import SIGNATURE_NAME
from duet_contract.pairs import find_pair
from duet_contract.signature import sign_pair
from duet_training.commands import run_command
from duet_training.errors import SigningError

PASSPHRASE_VARIABLE = "DUET_KEY_PASSPHRASE"  # noqa: S105 (its name)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return run_command("duet_training.export.sign", lambda: _run(arguments))


def _run(arguments: list[str] | None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    chosen = sum(map(bool, (options.pair, options.new_key, options.encrypt_key)))
    if chosen != 1 or bool(options.pair) != bool(options.key):
        parser.error("give PAIR with --key FILE, or --new-key FILE, or --encrypt-key FILE")
    if options.encrypt_key:
        encrypt_private_key(options.encrypt_key, _passphrase(options.encrypt_key))
        print(f"{options.encrypt_key}: encrypted again, with the same passphrase")
    elif options.new_key:
        _new_key(options.new_key, encrypted=not options.no_passphrase)
    else:
        _sign(options.pair, options.key, encrypted=not options.no_passphrase)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m duet_training.export.sign",
        description="Sign a pair with a publisher's Ed25519 key.",
        epilog=f"The key's passphrase is asked for, or read from ${PASSPHRASE_VARIABLE}.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("pair", nargs="?", help="pair to sign: a name or a directory")
    add("--key", type=Path, metavar="FILE", help="private key: of --new-key, or PEM")
    add("--new-key", type=Path, metavar="FILE", help="make a key: FILE, and FILE.pub for devices")
    add("--encrypt-key", type=Path, metavar="FILE", help="encrypt a key in PEM, in place")
    add("--no-passphrase", action="store_true", help="the key is not encrypted")
    return parser


def _new_key(path: Path, *, encrypted: bool) -> None:
    public = path.with_name(path.name + ".pub")
    for file in (path, public):
        if file.exists():
            raise SigningError(f"{file} exists: a key is never overwritten")
    passphrase = _passphrase(path, twice=True) if encrypted else None
    if passphrase is not None and len(passphrase) < LEAST_PASSPHRASE:
        raise SigningError(f"the passphrase must have at least {LEAST_PASSPHRASE} characters")
    key = Ed25519PrivateKey.generate()
    raw = public_bytes(key)
    save_private_key(path, key, passphrase)
    try:
        public.write_bytes(public_pem(raw))
    except OSError as error:
        raise SigningError(f"cannot write {public}: {error.strerror}") from error
    print(f"{path}: private key; keep it to yourself, and a copy in a safe place")
    print(f"{public}: public key; on each device: duet-device trust {public.name}")
    print(f"fingerprint: {fingerprint(raw)}")


def _sign(pair: str, path: Path, *, encrypted: bool) -> None:
    directory = find_pair(pair)
    # A key that is not encrypted needs no passphrase, whatever was said.
    ask = encrypted and is_encrypted(path)
    key = load_private_key(path, _passphrase(path) if ask else None)
    manifest = sign_pair(directory, key)
    print(f"{manifest.reference} is signed: {directory / SIGNATURE_NAME}")
    print(f"by: {fingerprint(public_bytes(key))}")


def _passphrase(path: Path, *, twice: bool = False) -> str:
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise SigningError(
            f"nobody is there to ask for the passphrase of {path}: set ${PASSPHRASE_VARIABLE}, "
            "or say --no-passphrase"
        )
    try:
        first = getpass.getpass(f"Passphrase of {path}: ")
        if twice and getpass.getpass("Again: ") != first:
            raise SigningError("the two passphrases differ")
    except (EOFError, KeyboardInterrupt) as error:
        raise SigningError("no passphrase was given") from error
    return first


if __name__ == "__main__":
    sys.exit(main())
