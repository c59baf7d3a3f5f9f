"""`duet-device enroll`: gives this device an identity with a server."""

import os
import time
from pathlib import Path

import click

from duet_device.errors import UsageProblem

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
@click.argument("address", metavar="HOST:PORT")
@click.argument("code", required=False)
@click.option(
    "--server",
    metavar="HOST:PORT",
    help="Address for questions [HOST and the port that the cloud names].",
)
@click.option(
    "--cert", type=_FILE, metavar="FILE", help="Own PKI: certificate chain of this device, PEM."
)
@click.option("--key", type=_FILE, metavar="FILE", help="Own PKI: private key of this device, PEM.")
@click.option(
    "--ca", type=_FILE, metavar="FILE", help="Own PKI: certificate authority of the server, PEM."
)
def enroll(
    address: str,
    code: str | None,
    server: str | None,
    cert: Path | None,
    key: Path | None,
    ca: Path | None,
) -> None:
    """Enroll this device at HOST:PORT with the one-time CODE of its operator.

    Creates a key that never leaves this device and requests a certificate, which renews itself.
    All later traffic with this server uses mutual TLS 1.3.

    With your own PKI, give --cert, --key and --ca instead of CODE; HOST:PORT is then the address
    for questions.
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
        f"enrolled as {identity.name} with {identity.server}; the certificate lasts until {ends} "
        f"and renews itself; {trusted} trusted",
        err=True,
    )
    click.echo(f"next: {_next_command(identity.server)}", err=True)


def _next_command(server: str) -> str:
    """Return a command that works as printed: the pair comes first where it is not installed."""
    from duet_contract.errors import PairNotFoundError
    from duet_contract.pairs import DEFAULT_PAIR, find_pair

    try:
        find_pair(os.environ.get("DUET_PAIR") or DEFAULT_PAIR)
    except PairNotFoundError:
        return f"duet-device pull --server {server}"
    return f'duet-device ask --server {server} "What is 17 + 25?"'


def _keep_files(address: str, cert: Path, key: Path, ca: Path) -> None:
    from duet_device.identity.credentials import Identity, canonical, save_identity

    identity = Identity(canonical(address), "", files=(cert, key, ca))
    # Reported now rather than at the first question.
    identity.credentials()
    save_identity(identity)
    click.echo(f"certificate files stored for {identity.server}", err=True)
    click.echo(f"next: {_next_command(identity.server)}", err=True)
