"""`duet-device pull`: fetches a pair's decoder, checks it, and installs it."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from duet_device.commands.options import ConfiguredCommand
from duet_device.commands.output import note, show
from duet_device.errors import DeviceError
from duet_device.setting_types import DEFAULT_SERVER

if TYPE_CHECKING:
    from duet_device.pairs.pulling.install import Offer
    from duet_device.pairs.pulling.source import Progress, Source

# Besides its label: brackets, a few blocks, share and time left.
_BAR_COLUMNS = 28

EXIT_CODES = """\b
Exit codes:
    0  installed, or installed before
    2  usage: bad option or name
    3  the source is unreachable, or the connection broke repeatedly
    4  the cloud refused
    5  the cloud did not answer in time
    6  no trusted signature, modified, older, no space, or another pair
    9  stdout is closed or full; the pair is installed
  130  interrupted; the same command resumes
"""


@click.command(cls=ConfiguredCommand, epilog=EXIT_CODES)
@click.argument("pair", required=False, default="")
@click.option(
    "--server",
    default=DEFAULT_SERVER,
    metavar="HOST[:PORT],...",
    help="Address of the cloud that serves the pair, or several.",
)
@click.option("--allow-downgrade", is_flag=True, help="Replace a newer installed version.")
@click.option(
    "--allow-unsigned",
    is_flag=True,
    help="Accept a pair without a trusted signature, if no publisher is pinned.",
)
@click.option(
    "--yes",
    is_flag=True,
    allow_from_autoenv=False,
    help="Trust the publisher of the cloud's pair without asking.",
)
@click.option("--quiet", is_flag=True, help="Show no progress bar.")
def pull(
    pair: str, server: str, allow_downgrade: bool, allow_unsigned: bool, yes: bool, quiet: bool
) -> None:
    """Fetch the decoder of PAIR, verify it, and install it.

    PAIR is ID or ID@VERSION of a pair that the cloud serves (its first if omitted),
    hub:ORG/NAME[@REVISION], or a directory. The signature and every file are verified before
    anything is replaced. Interrupted downloads resume.
    """
    from duet_device.commands.first_use import ask_to_trust
    from duet_device.pairs.pulling.cloud import CloudSource
    from duet_device.pairs.pulling.hub import PREFIX
    from duet_device.pairs.pulling.install import look

    source, wanted = _source(pair, server, PREFIX)
    try:
        # Files from elsewhere come without a server to pin the publisher for.
        consent = ask_to_trust(source, yes=yes) if isinstance(source, CloudSource) else None
        offer = look(source, wanted, allow_unsigned=allow_unsigned, consent=consent)
        end = install_offer(source, offer, allow_downgrade=allow_downgrade, quiet=quiet)
    finally:
        source.close()
    show(end)
    _renew_identity(source)


def install_offer(
    source: "Source", offer: "Offer", *, allow_downgrade: bool = False, quiet: bool = False
) -> str:
    """Fetch and install what `look` returned, with a progress bar; return the result in words."""
    from duet_device.decoder.threads import measure
    from duet_device.pairs.pulling.install import (
        alone,
        check_replacement,
        install,
        is_installed,
        tidy,
    )

    name = offer.manifest.reference
    if is_installed(offer):
        tidy(offer.manifest.id)
        return f"{name} is here already"
    with alone(offer.manifest.id):
        check_replacement(offer, allow_downgrade=allow_downgrade)
        with _bar(name, offer.bytes, quiet=quiet) as progress:
            directory = install(source, offer, progress)
    # A decoder that cannot be loaded is reported by the command that uses it.
    with suppress(DeviceError):
        measure(directory, offer.manifest)
    return f"{name} is ready in {directory}"


def _renew_identity(source: "Source") -> None:
    """Renew the identity with the cloud, for devices that only pull and never ask."""
    from duet_device.identity.renewal import renew_if_due
    from duet_device.pairs.pulling.cloud import CloudSource

    if isinstance(source, CloudSource):
        renew_if_due(source.server, note)


def _source(pair: str, server: str, prefix: str) -> "tuple[Source, str]":
    """Return where PAIR comes from, and the name that it must have there."""
    if pair.startswith(prefix):
        from duet_device.pairs.pulling.hub import HubSource
        from duet_device.pairs.pulling.install import make_scratch

        return HubSource(pair.removeprefix(prefix), make_scratch), ""
    from duet_contract.directories import expand
    from duet_contract.manifest import MANIFEST_NAME

    # Unlike Path.is_file, this is False for a name that is too long.
    if os.sep in pair or (pair and os.path.isfile(Path(pair, MANIFEST_NAME))):  # noqa: PTH113
        from duet_device.pairs.pulling.local import LocalSource

        return LocalSource(expand(pair)), ""
    from duet_device.pairs.pulling.cloud import CloudSource

    return CloudSource(server, pair, note_below_bar), pair


def note_below_bar(line: str) -> None:
    """Write a note while a file is fetched, below the progress bar of a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    note(line)


@contextmanager
def _bar(name: str, length: int, *, quiet: bool) -> "Iterator[Progress]":
    """A progress bar on stderr, where that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    size = f"{length / 1e6:,.1f} MB"
    label = f"{name} ({size})"
    if len(label) + _BAR_COLUMNS > shutil.get_terminal_size().columns:
        label = size
    with click.progressbar(length=length, label=label, file=sys.stderr, width=0) as bar:
        yield bar.update
