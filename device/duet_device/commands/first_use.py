"""The first question to a server: fetch its pair's decoder, and trust its publisher once."""

import os
import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from duet_contract.errors import PairNotFoundError
from duet_contract.pairs import DEFAULT_PAIR, find_pair, pairs_home, pairs_in
from duet_device.commands.input import confirmed
from duet_device.commands.options import RequestOptions
from duet_device.commands.output import note
from duet_device.errors import (
    CloudRefused,
    CloudUnreachable,
    DeadlineExceeded,
    Interrupted,
    PairMismatch,
    UntrustedPair,
)
from duet_device.pairs.pair import default_pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from duet_device.pairs.pulling.cloud import CloudSource
    from duet_device.pairs.pulling.install import Offer


def installed_pair(
    context: click.Context,
    pair: str | None,
    options: RequestOptions,
    *,
    yes: bool,
) -> str:
    """Return the pair to use; fetch it from the server if it is not installed.

    Args:
        context: of the command.
        pair: name or directory; the only installed pair, or the server's first, if None.
        options: of the question.
        yes: fetch and trust without asking.

    Raises:
        DeviceError: the pair cannot be fetched.
    """
    name = pair or default_pair()
    if name:
        try:
            find_pair(name)
            return name
        except PairNotFoundError:
            if os.sep in name:
                return name
    if options["device_only"] or options["route"] == "device":
        return name or DEFAULT_PAIR
    server = options["server"]
    try:
        return _fetch(context, name, server, yes=yes, allow_unsigned=options["allow_unsigned"])
    except (CloudUnreachable, CloudRefused, DeadlineExceeded, PairMismatch) as error:
        there = ", ".join(pairs_in(pairs_home()))
        what = f"pair {name} is not installed" if name else "no pair is installed"
        what += f" (there are: {there})" if there else ""
        # A mismatch names the command that fetches what is served.
        fix = "" if isinstance(error, PairMismatch) else f"; {_other(server)}"
        raise type(error)(f"{what}, and none can be fetched: {error}{fix}") from error


def _other(server: str) -> str:
    """Return what to do where a server does not answer."""
    from duet_device.identity.credentials import parse_addresses

    if all(address.is_loopback for address in parse_addresses(server)):
        return "start one here with: duet-cloud serve, or name another with --server HOST"
    return "name another server with --server HOST"


def _fetch(
    context: click.Context, wanted: str, server: str, *, yes: bool, allow_unsigned: bool
) -> str:
    from duet_device.commands.config import remember
    from duet_device.commands.pull import install_offer, note_below_bar
    from duet_device.identity.credentials import parse_addresses
    from duet_device.pairs.pulling.cloud import CloudSource
    from duet_device.pairs.pulling.install import look

    servers = ",".join(map(str, parse_addresses(server)))
    source = CloudSource(servers, wanted, note_below_bar)
    consent = ask_to_trust(source, yes=yes)
    try:
        offer = look(source, wanted, allow_unsigned=allow_unsigned, consent=consent)
        note(install_offer(source, offer))
    finally:
        source.close()
    name = offer.manifest.id
    if remember(context, server=servers, pair=name):
        note("server and pair are remembered; see: duet-device config show")
    return name


def ask_to_trust(source: "CloudSource", *, yes: bool) -> "Callable[[Offer], None]":
    """Return a function that pins the publisher of an offer, if it is new and the user agrees.

    It raises `UntrustedPair` where no one can be asked, and `Interrupted` if the user refuses.

    Args:
        source: the cloud whose offers they are.
        yes: agree without asking.
    """
    return partial(_trust, source, yes)


def _trust(source: "CloudSource", yes: bool, offer: "Offer") -> None:
    from duet_contract.keys import fingerprint
    from duet_device.identity.credentials import identity_for
    from duet_device.trust.publishers import pin
    from duet_device.trust.signatures import first_key

    # Servers of one identity have the publishers that were named at its enrollment.
    identity = identity_for(source.server)
    server = identity.server if identity else source.server
    key = first_key(offer.manifest_json, offer.manifest, offer.signature, server)
    if key is None:
        return
    size = f"{offer.bytes / 1e6:,.1f} MB"
    name, mark = offer.manifest.reference, fingerprint(key)
    if not yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UntrustedPair(
                f"{name} ({size}) is not fetched, since its publisher {mark} is not trusted yet: "
                "repeat with --yes to fetch it and trust this publisher"
            )
        note(f"{server} offers {name} ({size})")
        note(f"its publisher's fingerprint: {mark}")
        if not confirmed("Fetch it, and trust this publisher from now on?", "repeat with --yes"):
            raise Interrupted("nothing was fetched")
    pin(server, (key,))
    note(f"trusted from now on: {mark}")
