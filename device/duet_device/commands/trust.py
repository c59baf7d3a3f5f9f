"""`duet-device trust`: whose pairs this device loads."""

from pathlib import Path

import click

from duet_device.commands.output import show
from duet_device.errors import ModelProblem, UsageProblem


@click.command()
@click.argument("key", required=False, type=click.Path(path_type=Path), metavar="[FILE]")
@click.option(
    "--forget",
    metavar="FINGERPRINT",
    allow_from_autoenv=False,
    help="Stop trusting the key whose fingerprint starts with these digits.",
)
def trust(key: Path | None, forget: str | None) -> None:
    """Trust the publisher whose public key (PEM) is in FILE; list trusted keys without FILE.

    Compare the fingerprint with the publisher's: it is the SHA-256 of FILE (sha256sum FILE).
    """
    from duet_contract.errors import ContractError
    from duet_contract.keys import fingerprint, load_public_key

    if key and forget:
        raise UsageProblem("give a FILE or --forget, not both")
    try:
        if key:
            from duet_device.trust.publishers import BY_HAND, pin, pinned

            raw = load_public_key(key)
            pin(BY_HAND, (*pinned(BY_HAND), raw))
            show(f"trusted: {fingerprint(raw)}")
        elif forget:
            _forget(forget)
        else:
            _list()
    except ContractError as error:
        raise ModelProblem(str(error)) from error


def _forget(start: str) -> None:
    from duet_contract.keys import fingerprint
    from duet_device.trust.publishers import pin, pinned_by_server

    pins = pinned_by_server()
    found = {key for keys in pins.values() for key in keys if fingerprint(key).startswith(start)}
    if len(found) != 1:
        raise UsageProblem(f"{len(found)} trusted keys have a fingerprint that starts so: {start}")
    for server, keys in pins.items():
        if found & set(keys):
            pin(server, tuple(key for key in keys if key not in found))
    show(f"no longer trusted: {fingerprint(found.pop())}")


def _list() -> None:
    from duet_contract.keys import fingerprint
    from duet_device.trust.publishers import BY_HAND, pinned_by_server

    for server, keys in pinned_by_server().items():
        for key in keys:
            show(f"{fingerprint(key)}  {'by hand' if server == BY_HAND else server}")
