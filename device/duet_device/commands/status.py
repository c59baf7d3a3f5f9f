"""`duet-device status` and `duet-device purge`: show, and delete, what is on this machine."""

import time

import click

from duet_device.commands.input import confirmed
from duet_device.commands.options import ConfiguredCommand, settings_named
from duet_device.commands.output import note, show
from duet_device.errors import DeviceError, ModelProblem, UsageProblem


@click.command(cls=ConfiguredCommand, params=settings_named("server"))
@click.option(
    "--next", "only_next", is_flag=True, allow_from_autoenv=False, help="Show only what to do next."
)
def status(server: str, only_next: bool) -> None:
    """Show server, pairs, identities, trusted publishers, and where everything is stored.

    It opens no connection; duet-device doctor does.
    """
    if not only_next:
        show(f"server     {server}")
        _show_pairs()
        _show_identities()
        _show_stored()
    show(_next(server))


@click.command()
@click.option("--yes", is_flag=True, allow_from_autoenv=False, help="Do not ask for confirmation.")
def purge(yes: bool) -> None:
    """Delete all that DUET stored on this machine: pairs, identities, answers, settings.

    Servers still list this device until their operator revokes it.
    """
    from duet_device.serve.files import running
    from duet_device.stored import delete_all, everything

    if process := running():
        raise UsageProblem(
            f"a local server is running and keeps a decoder in memory: stop it with: kill {process}"
        )
    stored = everything()
    if not stored:
        show("nothing is stored")
        return
    if not yes:
        _show_stored()
        if not confirmed("Delete all of this?", "duet-device purge --yes deletes without asking"):
            note("nothing was deleted")
            return
    try:
        delete_all(stored)
    except OSError as error:
        raise ModelProblem(f"cannot delete {error.filename}: {error.strerror}") from error
    show(f"deleted: {len(stored)} files and directories")


def _show_pairs() -> None:
    from duet_contract.pairs import pairs_home, pairs_in
    from duet_device.commands.pairs import describe

    rows = [describe(name, path) for name, path in pairs_in(pairs_home()).items()]
    for name, version, size, state in rows or [("none", "", "", "")]:
        show(f"pair       {name} {version} {size} {state}".rstrip())


def _show_identities() -> None:
    from duet_device.identity.credentials import enrolled_servers, load_identity

    servers = enrolled_servers()
    for server in servers:
        try:
            identity = load_identity(server)
        except DeviceError as error:
            show(f"identity   {server}: {error}")
            continue
        if identity:
            ends = time.strftime("until %Y-%m-%d", time.gmtime(identity.ends))
            valid = ends if identity.ends else "files of your own"
            show(f"identity   {identity.name or 'this device'} with {server}, {valid}")
    if not servers:
        show("identity   none; servers on this machine need none")


def _show_stored() -> None:
    from duet_device.stored import everything

    for each in everything():
        show(f"stored     {_size(each.bytes):>11}  {each.path}: {each.what}")


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} kB"


def _next(server: str) -> str:
    """Return what to do next, a command in each line."""
    from duet_contract.pairs import pairs_home, pairs_in
    from duet_device.identity.credentials import enrolled_servers

    lines = ['next:  duet-device ask "What is 17 + 25?"']
    if not pairs_in(pairs_home()):
        lines = [f"{lines[0]}    # fetches the decoder of {server}"]
        if not enrolled_servers():
            lines = [
                "next:  duet-device enroll HOST CODE     # its operator: duet-cloud admin invite NAME",
                '  or:  duet-device ask "What is 17 + 25?"    # with duet-cloud serve on this machine',
            ]
    return "\n".join([*lines, "help:  duet-device --help, duet-device doctor"])
