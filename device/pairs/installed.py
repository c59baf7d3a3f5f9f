"""`duet-device pairs` and `duet-device rm`: the pairs on this device."""

import click

from device.errors import ModelProblem


@click.command()
def pairs() -> None:
    """List the pairs on this device: version, size of the decoder, and who signed them."""
    from device.signed.signatures import signature_state
    from duet_contract.errors import ContractError
    from duet_contract.manifest import MANIFEST_NAME, load_manifest
    from duet_contract.pairs import pairs_home

    rows = []
    for path in sorted(pairs_home().glob(f"[!.]*/{MANIFEST_NAME}")):
        name = path.parent.name
        try:
            manifest = load_manifest(path.parent)
        except ContractError as error:
            rows.append((name, "-", "-", f"unusable: {error}"))
            continue
        size = sum(file.bytes for file in manifest.decoder.files)
        state = signature_state(path.parent, manifest)
        rows.append((name, manifest.version, f"{size / 1e6:,.1f} MB", state))
    if not rows:
        click.echo("no pairs yet; fetch one with: duet-device pull", err=True)
    widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join([*cells, row[3]]))


@click.command()
@click.argument("pair")
@click.option("--yes", is_flag=True, help="Do not ask.")
def rm(pair: str, yes: bool) -> None:
    """Delete PAIR, one of those that `pairs` lists, and what was begun to be fetched of it."""
    from device.pairs.pulling.install import discard_parts
    from device.pairs.pulling.swap import remove
    from duet_contract.manifest import MANIFEST_NAME
    from duet_contract.pairs import pairs_home

    home = pairs_home()
    known = {path.parent.name for path in home.glob(f"[!.]*/{MANIFEST_NAME}")}
    if pair not in known:
        there = f"there are: {', '.join(sorted(known))}" if known else "there are none"
        raise ModelProblem(f"there is no pair {pair!r} in {home}; {there}")
    if not yes:
        click.confirm(f"Delete {home / pair}?", abort=True, err=True)
    # Out of sight first: a pair is there whole or not at all.
    aside = home / f".{pair}.deleted"
    try:
        if aside.exists() or aside.is_symlink():
            remove(aside)
        (home / pair).rename(aside)
        remove(aside)
    except OSError as error:
        raise ModelProblem(f"cannot delete {home / pair}: {error}") from error
    discard_parts(pair)
    click.echo(f"deleted: {pair}")
