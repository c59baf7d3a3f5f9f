"""`publisher`: manages the keys whose pairs enrolled devices trust."""

import time
from pathlib import Path

import click

from duet_cloud.admin.options import check_name, database_option, directory_option
from duet_cloud.identity import authority_directory


@click.group()
def publisher() -> None:
    """Manage the public keys (Ed25519) that devices pin when they enroll."""


@publisher.command(short_help="Add a publisher's key.")
@click.argument("key", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE")
@click.option("--name", help="Name of the key [FILE's name].")
@directory_option
@database_option
def add(key: Path, name: str | None, directory: Path, database: str | None) -> None:
    """Add the public key in FILE (PEM); devices that are enrolled do not get it."""
    from duet_contract.keys import fingerprint, load_public_key

    raw = load_public_key(key)
    given = check_name(name or key.stem)
    registry = authority_directory.open_registry(directory, database)
    with registry.database.transaction():
        registry.add_publisher(given, raw, int(time.time()))
        click.echo(f"{given}  {fingerprint(raw)}")


@publisher.command(short_help="Remove a publisher's key.")
@click.argument("name")
@directory_option
@database_option
def remove(name: str, directory: Path, database: str | None) -> None:
    """Remove a key; devices that pinned it keep it."""
    authority_directory.open_registry(directory, database).remove_publisher(name)


@publisher.command("list")
@directory_option
@database_option
def list_(directory: Path, database: str | None) -> None:
    """List publishers' names and fingerprints."""
    from duet_contract.keys import fingerprint

    for name, raw in authority_directory.open_registry(directory, database).publishers().items():
        click.echo(f"{name:24} {fingerprint(raw)}")
