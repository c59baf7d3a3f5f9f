"""`duet-train sign`: creates a publisher's key, and signs a pair with it."""

from pathlib import Path

import click

from duet_training.commands.options import PATH


@click.command()
@click.argument("pair", required=False)
@click.option("--key", type=PATH, metavar="FILE", help="Private key, PEM.")
@click.option(
    "--new-key", type=PATH, metavar="FILE", help="Create a key: FILE, and FILE.pub for devices."
)
@click.option("--no-passphrase", is_flag=True, help="The key is not encrypted.")
def sign(pair: str | None, key: Path | None, new_key: Path | None, no_passphrase: bool) -> None:
    """Sign PAIR, a name or a directory, with a publisher's Ed25519 key.

    The key's passphrase is read from DUET_KEY_PASSPHRASE, or from a prompt.
    """
    from duet_training.export.sign import create_key, sign_with

    if new_key and not (pair or key):
        create_key(new_key, encrypted=not no_passphrase)
    elif pair and key and not new_key:
        sign_with(pair, key, encrypted=not no_passphrase)
    else:
        raise click.UsageError("give either PAIR with --key FILE, or --new-key FILE")
