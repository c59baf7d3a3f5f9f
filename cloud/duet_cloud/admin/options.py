"""Options, name checks and warnings that several commands share."""

import re
from pathlib import Path

import click
from cryptography import x509

from duet_cloud.errors import UsageError
from duet_cloud.identity.authority_directory import near_end
from duet_cloud.options import DATABASE_VARIABLE
from duet_contract.commands import option
from duet_contract.directories import data_directory

# One segment of a SPIFFE id's path (SPIFFE-ID specification, section 2.2).
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DOMAIN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def usual_directory() -> Path:
    """Return the authority's directory unless `--dir` names another.

    Raises:
        NoDirectoryError: the user has no home directory.
    """
    return data_directory("DUET_AUTHORITY") / "authority"


directory_option = option(
    "--dir",
    click.Path(path_type=Path, file_okay=False),
    "DIR",
    "Directory of the authority (--tls-dir of duet-cloud serve).",
    usual_directory,
    show_default="the user's data directory",
    envvar="DUET_AUTHORITY",
    to="directory",
)
database_option = option(
    "--database",
    None,
    "URL",
    "PostgreSQL database that replicas share [SQLite in the directory].",
    envvar=DATABASE_VARIABLE,
)
passphrase_option = option(
    "--passphrase-file",
    click.Path(path_type=Path, dir_okay=False),
    "FILE",
    "Passphrase of the authority's key [DUET_AUTHORITY_PASSPHRASE, or a prompt].",
)


def check_name(name: str, *, domain: bool = False) -> str:
    """Return a device's, publisher's or trust domain's name.

    Raises:
        UsageError: it cannot be part of a SPIFFE id.
    """
    if not (_DOMAIN if domain else _NAME).fullmatch(name):
        letters = "small letters" if domain else "letters"
        raise UsageError(
            f"{name!r} is not a name: use at most 64 {letters}, digits, '.', '_', '-', starting with "
            "a letter or digit"
        )
    return name


def tell_end(certificate: x509.Certificate) -> None:
    """Warn on stderr if the authority's certificate expires soon."""
    if line := near_end(certificate):
        click.echo(f"duet-cloud: {line}", err=True)
