"""`python -m cloud.admin`: the commands, and how every error ends."""

import sys
from collections.abc import Sequence

import click

from cloud.admin.authority import init, rotate, show
from cloud.admin.devices import devices, invite, revoke
from cloud.admin.publishers import publisher
from cloud.admin.usage import usage
from cloud.errors import CloudError, Exit
from duet_contract.errors import ContractError

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit code (see `cloud.errors.Exit`)."""
    try:
        commands.main(args=arguments, prog_name="python -m cloud.admin", standalone_mode=False)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except CloudError as error:
        click.echo(f"cloud.admin: {error}", err=True)
        return error.exit_code
    except ContractError as error:
        click.echo(f"cloud.admin: {error}", err=True)
        return Exit.CREDENTIALS
    except (click.Abort, KeyboardInterrupt):
        click.echo("cloud.admin: interrupted", err=True)
        return Exit.FAILED
    return Exit.OK


if __name__ == "__main__":
    sys.exit(main())
