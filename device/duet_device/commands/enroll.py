"""`duet-device enroll`: gives this device an identity with a server."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from duet_contract.commands import option
from duet_device.errors import UsageProblem

if TYPE_CHECKING:
    from duet_device.identity.credentials import Identity

_EXIT_CODES = """\b
Exit codes:
    0  enrolled
    2  usage: enrollment code missing, or options that exclude each other
    3  the cloud is unreachable
    7  no encrypted store for the key
    8  refused: code unknown, used or expired, or of another server
"""
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False, resolve_path=True)


@click.command(epilog=_EXIT_CODES)
@click.argument("address", metavar="HOST[:PORT]")
@click.argument("code", required=False)
@option(
    "--server", None, "HOST:PORT", "Address for questions [HOST and the port that the cloud names]."
)
@option("--cert", _FILE, "FILE", "Own PKI: certificate chain of this device, PEM.")
@option("--key", _FILE, "FILE", "Own PKI: private key of this device, PEM.")
@option("--ca", _FILE, "FILE", "Own PKI: certificate authority of the server, PEM.")
def enroll(
    address: str,
    code: str | None,
    server: str | None,
    cert: Path | None,
    key: Path | None,
    ca: Path | None,
) -> None:
    """Enroll this device at HOST (port 50152) with the one-time CODE of its operator.

    Creates a key that never leaves this device and requests a certificate, which renews itself.
    All later traffic with this server uses mutual TLS 1.3.

    With your own PKI, give --cert, --key and --ca instead of CODE; HOST is then the address for
    questions (port 50151).
    """
    if code is None:
        if cert is None or key is None or ca is None:
            raise UsageProblem("give the enrollment CODE, or all of --cert, --key and --ca")
        _keep_files(address, cert, key, ca)
        return
    if cert or key or ca:
        raise UsageProblem("an enrollment CODE and certificate files are alternatives")
    from duet_device.identity.enrollment import enroll as spend

    done = spend(address, code, server)
    identity = done.identity
    ends = time.strftime("%Y-%m-%d", time.gmtime(identity.ends))
    trusted = "1 publisher" if done.publishers == 1 else f"{done.publishers} publishers"
    click.echo(
        f"enrolled as {identity.name} with {identity.server}{_others(identity)}; the certificate lasts until {ends} "
        f"and renews itself; {trusted} trusted",
        err=True,
    )
    _note_next(identity.server)


def _others(identity: "Identity") -> str:
    count = len({*identity.servers} - {identity.server})
    return f" and {count} other servers" if count > 1 else " and 1 other server" if count else ""


def _note_next(server: str) -> None:
    """Remember the server, and print a command that works as printed."""
    from duet_device.commands.config import effective, remember

    context = click.get_current_context()
    remember(context, server=server)
    option = "" if effective(context).params["server"] == server else f" --server {server}"
    click.echo(f'next: duet-device ask{option} "What is 17 + 25?"', err=True)


def _keep_files(address: str, cert: Path, key: Path, ca: Path) -> None:
    from duet_device.identity.credentials import Identity, canonical, save_identity

    identity = Identity(canonical(address), "", files=(cert, key, ca))
    # Reported now rather than at the first question.
    identity.credentials()
    save_identity(identity)
    click.echo(f"certificate files stored for {identity.server}", err=True)
    _note_next(identity.server)
