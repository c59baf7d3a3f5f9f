"""`usage`: what identities have spent."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from duet_cloud.admin.options import directory_option
from duet_cloud.identity import authority as authorities
from duet_cloud.identity.access import AccessFile
from duet_cloud.identity.quotas import Usage, usage_of
from duet_cloud.identity.security import ACCESS_NAME, COUNTS_NAME, counts_beside
from duet_contract.terminal import printable


@click.command()
@directory_option
@click.option(
    "--access",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Access file (--access of duet-cloud serve).",
)
@click.option(
    "--days", type=click.IntRange(1, 400), default=1, help="Number of days (UTC) up to today."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def usage(directory: Path, access: Path | None, days: int, as_json: bool) -> None:
    """List the prompt and signal tokens that each device used, by day.

    A running question counts with its maximum, and with its real number once it ends.
    """
    if access is not None and counts_beside(access).is_file():
        counts = counts_beside(access)  # your own PKI: there is no authority's directory
    else:
        authorities.open_registry(directory).close()
        counts = directory / COUNTS_NAME
    limits = AccessFile(access or directory / ACCESS_NAME, may_lack=access is None).access
    entries = usage_of(counts, limits, days)
    if as_json:
        for entry in entries:
            click.echo(json.dumps(asdict(entry)))
        return
    click.echo(f"{'DAY':10} {'TOKENS':>12} {'LIMIT':>12} {'LEFT':>6}  NAME")
    for entry in entries:
        click.echo(printable(_line(entry)))


def _line(entry: Usage) -> str:
    limit = "none" if entry.limit is None else f"{entry.limit:,}"
    left = ""
    if entry.limit:
        left = f"{max(0, entry.limit - entry.tokens) / entry.limit:.0%}"
    return f"{entry.day} {entry.tokens:>12,} {limit:>12} {left:>6}  {entry.name}"
