"""`init` makes the authority, `show` describes it, `rotate` makes the server's next certificate."""

import shlex
from pathlib import Path

import click

from duet_cloud.admin.options import (
    check_name,
    database_option,
    directory_option,
    passphrase_option,
    tell_end,
    usual_directory,
)
from duet_cloud.errors import UsageError
from duet_cloud.identity import authority as authorities
from duet_cloud.identity import authority_directory, certificates
from duet_cloud.identity.certificates import der, is_host
from duet_cloud.identity.passphrase import read_passphrase
from duet_contract.commands import Number, option
from duet_contract.console import OutputClosed, OutputLost
from duet_contract.enrollment_codes import fingerprint


@click.command()
@directory_option
@database_option
@passphrase_option
@option("--domain", None, "DOMAIN", "SPIFFE trust domain of all names.", "duet")
@option(
    "--host",
    None,
    "NAME_OR_ADDRESS",
    "DNS name or IP address of this server, besides its own hostname. Repeatable.",
    multiple=True,
    to="hosts",
)
@option(
    "--device-days",
    Number(0, 366, min_open=True),
    "DAYS",
    "Validity of device certificates in days.",
    authorities.DEVICE_DAYS,
)
@option(
    "--server-days",
    Number(0, 366, min_open=True),
    "DAYS",
    "Validity of the server's certificate in days.",
    authorities.SERVER_DAYS,
)
def init(
    directory: Path,
    database: str | None,
    passphrase_file: Path | None,
    domain: str,
    hosts: tuple[str, ...],
    device_days: float,
    server_days: float,
) -> None:
    """Create a certificate authority and the server's first certificate."""
    check_name(domain, domain=True)
    names = _all_hosts((*authorities.usual_hosts(), *hosts))
    passphrase = read_passphrase(passphrase_file, confirm=True)
    made = authorities.create(
        directory, passphrase, domain, names, device_days, server_days, database
    )
    lines = (
        f"authority   {directory}",
        f"fingerprint {fingerprint(der(made.certificate)).hex()}",
        f"server is   {', '.join(names)}",
    )
    try:
        click.echo("\n".join(lines))
    except (OutputClosed, OutputLost):
        # Its maker would not know its fingerprint, and could not make it again.
        authorities.discard(made)
        raise
    again = shlex.join(["--dir", str(directory)]) + " " if directory != usual_directory() else ""
    click.echo(
        f"next: duet-cloud admin invite {again}NAME, and serve with: "
        f"duet-cloud serve --tls-dir {shlex.quote(str(directory))} --enrollment-port 50152 "
        "--host ADDRESS",
        err=True,
    )


@click.command()
@directory_option
def show(directory: Path) -> None:
    """Show the authority, the server's names, and until when both are valid."""
    certificate = authority_directory.load_certificate(directory, even_ended=True)
    server = authority_directory.load_server_certificate(directory)
    click.echo(f"authority   {directory}")
    click.echo(f"fingerprint {fingerprint(der(certificate)).hex()}")
    click.echo(f"until       {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    click.echo(f"server is   {', '.join(certificates.hosts(server))}")
    click.echo(f"until       {server.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    tell_end(certificate)


@click.command()
@directory_option
@database_option
@passphrase_option
@option(
    "--host",
    None,
    "NAME_OR_ADDRESS",
    "DNS name or IP address of this server; replaces the earlier ones. Repeatable.",
    multiple=True,
    to="hosts",
)
def rotate(
    directory: Path, database: str | None, passphrase_file: Path | None, hosts: tuple[str, ...]
) -> None:
    """Replace the server's key and certificate; a running server loads them."""
    names = _all_hosts(hosts)
    authority = authorities.unlock(directory, read_passphrase(passphrase_file), database)
    certificate = authority.issue_server(names)
    click.echo(f"server's certificate until {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    tell_end(authority.certificate)


def _all_hosts(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not is_host(name):
            raise UsageError(
                f"{name!r} is not a host: give a DNS name or an IP address, without port or brackets"
            )
    return tuple(dict.fromkeys(name.lower() for name in names))
