"""The commands of `python -m duet_cloud.admin`, and how every error of theirs ends."""

import sqlite3
from collections.abc import Sequence

import click

from duet_cloud.admin.authority import init, rotate, show
from duet_cloud.admin.devices import devices, invite, revoke
from duet_cloud.admin.publishers import publisher
from duet_cloud.admin.usage import usage
from duet_cloud.errors import CloudError, Exit
from duet_contract.console import OutputClosed, OutputLost
from duet_contract.errors import ContractError
from duet_contract.terminal import one_line

_EXIT_CODES = """\b
Exit codes:
    0  done
    1  failed
    2  usage
    4  the authority, its key or its registry is missing, altered, or not to be had; there is no
       such device or publisher, or there is already; a file is no publisher's key
"""


@click.group(
    epilog=_EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
def commands() -> None:
    """The service's certificate authority: who may connect, and what they may do."""


for command in (init, show, invite, devices, revoke, usage, rotate, publisher):
    commands.add_command(command)


def run(arguments: Sequence[str]) -> int:
    """Runs a command; returns its exit code (see `duet_cloud.errors.Exit`)."""
    try:
        commands.main(args=arguments, prog_name="python -m duet_cloud.admin", standalone_mode=False)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return Exit.USAGE
    except click.ClickException as error:
        return _fail(error.format_message(), Exit.USAGE)
    except CloudError as error:
        return _fail(str(error), error.exit_code)
    except (OutputClosed, OutputLost):
        raise
    except ContractError as error:
        return _fail(str(error), Exit.CREDENTIALS)
    except sqlite3.Error as error:
        return _fail(f"cannot use the authority's registry: {error}", Exit.CREDENTIALS)
    except click.Abort as error:
        raise KeyboardInterrupt from error
    return Exit.OK


def _fail(message: str, code: Exit) -> int:
    click.echo(f"duet_cloud.admin: {one_line(message)}", err=True)
    return code
