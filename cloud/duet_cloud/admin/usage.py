"""`usage`: what identities have spent."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from duet_cloud.admin.options import database_option, directory_option
from duet_cloud.identity import authority_directory
from duet_cloud.identity.access import AccessFile
from duet_cloud.identity.counts import COUNTS_NAME, Usage, counts_beside, open_counts
from duet_cloud.identity.security import ACCESS_NAME
from duet_contract.commands import Integer, option
from duet_contract.terminal import printable


@click.command()
@directory_option
@database_option
@option(
    "--access",
    click.Path(path_type=Path, dir_okay=False),
    "FILE",
    "Access file (--access of duet-cloud serve).",
)
@option("--days", Integer(1, 400), None, "Number of days (UTC) up to today.", 1)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def usage(
    directory: Path, database: str | None, access: Path | None, days: int, as_json: bool
) -> None:
    """List the prompt and signal tokens that each device used, by day.

    A running question of a device with a limit of tokens counts with its maximum, and with its real
    number once it ends.
    """
    limits = AccessFile(access or directory / ACCESS_NAME, may_lack=access is None).access
    entries = []
    if path := _counts(directory, database, access):
        counts = open_counts(path, database)
        entries = counts.usage(limits, days)
        counts.close()
    if as_json:
        for entry in entries:
            click.echo(json.dumps(asdict(entry)))
        return
    click.echo(f"{'DAY':10} {'TOKENS':>12} {'LIMIT':>12} {'LEFT':>6}  NAME")
    for entry in entries:
        click.echo(printable(_line(entry)))


def _counts(directory: Path, database: str | None, access: Path | None) -> Path | None:
    """Return the file of the counts, which a shared database replaces; None if nothing is counted."""
    if access is not None and counts_beside(access).is_file():
        return counts_beside(access)  # your own PKI: there is no authority's directory
    path = directory / COUNTS_NAME
    if database is None:
        authority_directory.open_registry(directory).database.close()
        return path if path.is_file() else None
    return path


def _line(entry: Usage) -> str:
    limit = "none" if entry.limit is None else f"{entry.limit:,}"
    left = ""
    if entry.limit:
        left = f"{max(0, entry.limit - entry.tokens) / entry.limit:.0%}"
    return f"{entry.day} {entry.tokens:>12,} {limit:>12} {left:>6}  {entry.name}"
