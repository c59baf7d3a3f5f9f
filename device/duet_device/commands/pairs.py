"""`duet-device pairs` and `duet-device rm`: the pairs on this device."""

import shlex
from pathlib import Path

import click

from duet_contract.terminal import one_line
from duet_device.commands.input import confirmed
from duet_device.commands.output import note, show
from duet_device.errors import DeviceError, ModelProblem


@click.command()
def pairs() -> None:
    """List the installed pairs: version, decoder size, and who signed them."""
    from duet_contract.pairs import pairs_home, pairs_in

    rows = [describe(name, directory) for name, directory in pairs_in(pairs_home()).items()]
    if not rows:
        note("no pairs yet; the first duet-device ask fetches one")
        return
    # Names and manifests are what others wrote: a line feed in them must not begin another row.
    lines = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        show("  ".join([*cells, line[3]]))


def describe(name: str, directory: Path) -> tuple[str, str, str, str]:
    """Return name, version, size and state of an installed pair, for people."""
    from duet_contract.errors import ContractError
    from duet_contract.manifest import load_manifest
    from duet_device.trust.signatures import signature_state

    try:
        manifest = load_manifest(directory)
        size = sum(file.bytes for file in manifest.device_files)
        return name, manifest.version, f"{size / 1e6:,.1f} MB", signature_state(directory, manifest)
    except (ContractError, DeviceError) as error:
        return name, "-", "-", f"unusable: {error}"


@click.command()
@click.argument("pair")
@click.option("--yes", is_flag=True, allow_from_autoenv=False, help="Do not ask for confirmation.")
def rm(pair: str, yes: bool) -> None:
    """Delete PAIR (see duet-device pairs) and its partial downloads."""
    from duet_contract.pairs import pairs_home, pairs_in
    from duet_device.pairs.pulling.install import discard_parts
    from duet_device.pairs.pulling.swap import remove

    home = pairs_home()
    known = pairs_in(home)
    if pair not in known:
        there = f"there are: {', '.join(known)}" if known else "no pairs are installed"
        raise ModelProblem(f"there is no pair {pair!r} in {home}; {there}")
    if not (
        yes
        or confirmed(
            f"Delete {home / pair}?",
            f"duet-device rm --yes {shlex.quote(pair)} deletes without asking",
        )
    ):
        note(f"{pair} stays")
        return
    # Renamed first, so that a pair is never partly deleted under its name.
    aside = home / f".{pair}.deleted"
    try:
        if aside.exists() or aside.is_symlink():
            remove(aside)
        (home / pair).rename(aside)
        remove(aside)
    except OSError as error:
        raise ModelProblem(f"cannot delete {home / pair}: {error}") from error
    discard_parts(pair)
    show(f"deleted: {pair}")
