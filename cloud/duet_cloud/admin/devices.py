"""`invite`, `devices` and `revoke`. None of them needs the authority's key."""

import datetime
import json
import time
from pathlib import Path

import click

from duet_cloud.admin.options import (
    check_name,
    database_option,
    directory_option,
    tell_end,
)
from duet_cloud.errors import UsageError
from duet_cloud.identity import authority as authorities
from duet_cloud.identity import authority_directory
from duet_cloud.identity.roles import Role
from duet_contract.commands import Number, option
from duet_contract.terminal import counted

_ROLES = ", ".join(Role)


@click.command()
@click.argument("name")
@directory_option
@database_option
@option(
    "--role",
    None,
    "ROLE[,ROLE]",
    f"Roles of the device: {_ROLES}.",
    Role.INFERENCE.value,
    to="roles",
)
@option(
    "--hours", Number(0, 24 * 31, min_open=True), "HOURS", "Validity of the code in hours.", 24.0
)
@click.option("--again", is_flag=True, help="Replace the certificate that NAME has.")
def invite(
    name: str, directory: Path, database: str | None, roles: str, hours: float, again: bool
) -> None:
    """Print a one-time enrollment code for the device NAME.

    Send it to the device's user over a channel that you trust: who uses it first becomes NAME.
    """
    check_name(name)
    given = [role.strip() for role in roles.split(",")]
    if not set(given) <= set(Role):
        raise UsageError(f"--role {roles}: roles are {_ROLES}")
    certificate = authority_directory.load_certificate(directory)
    registry = authority_directory.open_registry(directory, database)
    known = {entry.name: entry for entry in registry.devices(_now())}
    if name in known and known[name].state == "enrolled" and not again:
        raise UsageError(f"{name} is enrolled: give another name, or --again to replace it")
    # A code that could not be printed is not registered, and voids no earlier one.
    with registry.database.transaction():
        code = authorities.invite(certificate, registry, name, given, hours)
        click.echo(str(code))
    click.echo(
        f"on the device, within {hours:g} h: duet-device enroll HOST:ENROLLMENT_PORT CODE", err=True
    )
    tell_end(certificate)


@click.command()
@directory_option
@database_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def devices(directory: Path, database: str | None, as_json: bool) -> None:
    """List devices: enrolled, invited, expired or revoked."""
    entries = authority_directory.open_registry(directory, database).devices(_now())
    if not as_json:
        click.echo(f"{'NAME':24} {'ROLES':18} {'STATE':16} {'CERTIFICATE UNTIL':20} SERIAL")
    for entry in entries:
        until = ""
        if entry.not_after is not None:
            until = (
                f"{datetime.datetime.fromtimestamp(entry.not_after, datetime.UTC):%Y-%m-%d %H:%M}"
            )
        if as_json:
            fields = {
                "name": entry.name,
                "roles": entry.roles,
                "state": entry.state,
                "until": entry.not_after,
                "serial": entry.serial,
            }
            click.echo(json.dumps(fields))
        else:
            roles = ",".join(entry.roles)
            line = f"{entry.name:24} {roles:18} {entry.state:16} {until:20} {entry.serial}"
            click.echo(line.rstrip())


@click.command()
@click.argument("name")
@directory_option
@database_option
def revoke(name: str, directory: Path, database: str | None) -> None:
    """Revoke every certificate and code of the device NAME.

    Running servers refuse its next call and end running calls within a second.
    """
    count = authority_directory.open_registry(directory, database).revoke(name, _now())
    click.echo(f"{name}: {counted(count, 'certificate or code', 'certificates and codes')} revoked")


def _now() -> int:
    return int(time.time())
