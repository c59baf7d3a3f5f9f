"""`duet-train pair` and `sign`: a tiny pair to try the trainer with; a publisher's key."""

from pathlib import Path

import click

from duet_contract.commands import option
from duet_training.commands.options import PATH


@click.command()
@click.argument("pair", required=False)
@option("--key", PATH, "FILE", "Private key: of --new-key, or PEM.")
@option("--new-key", PATH, "FILE", "Create a key: FILE, and FILE.pub for devices.")
@option("--encrypt-key", PATH, "FILE", "Encrypt a key in PEM, in place.")
@click.option("--no-passphrase", is_flag=True, help="The key is not encrypted.")
def sign(
    pair: str | None,
    key: Path | None,
    new_key: Path | None,
    encrypt_key: Path | None,
    no_passphrase: bool,
) -> None:
    """Sign PAIR, a name or a directory, with a publisher's Ed25519 key.

    The key's passphrase is read from DUET_KEY_PASSPHRASE, or from a prompt.
    """
    if sum(map(bool, (pair, new_key, encrypt_key))) != 1 or bool(pair) != bool(key):
        raise click.UsageError(
            "give PAIR with --key FILE, or --new-key FILE, or --encrypt-key FILE"
        )
    from duet_training.export import sign as signing

    if encrypt_key:
        signing.encrypt_key(encrypt_key)
    elif new_key:
        signing.create_key(new_key, encrypted=not no_passphrase)
    elif pair and key:
        signing.sign_with(pair, key, encrypted=not no_passphrase)


@click.command()
@click.argument("out", type=PATH)
def pair(out: Path) -> None:
    """Create a pair of tiny random models in OUT, to try the trainer without a GPU."""
    from duet_training.pair.tiny import make_tiny_pair

    click.echo(make_tiny_pair(out))
