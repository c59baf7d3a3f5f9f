"""`duet-device`: the commands, and how every error ends."""

import os
import sys
import time
from collections.abc import Sequence

import click

from device.ask import ask
from device.errors import DeviceError, ExitCode, OutputClosed
from device.identity.enroll import enroll
from device.kept.logs import forget, logs
from device.output import one_line
from device.pairs.installed import pairs, rm
from device.pairs.pull import pull
from device.signed.trust import trust

# As near to the process's start as this package can see: a question's time includes the imports.
_PROCESS_STARTED = time.perf_counter()


@click.group(context_settings={"auto_envvar_prefix": "DUET", "help_option_names": ["-h", "--help"]})
@click.version_option(package_name="duet-split", prog_name="duet-device")
def commands() -> None:
    """The device's half of DUET: a small model that answers with a large one's short signal."""


# Without the command's name in between: DUET_SERVER, not DUET_ASK_SERVER.
for command in (ask, pull):
    command.context_settings["auto_envvar_prefix"] = "DUET"
commands.add_command(ask)
for command in (enroll, pull, pairs, rm, trust, logs, forget):
    commands.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code (`device.errors.ExitCode`).

    Args:
        arguments: the command line; the process's own, if None. Times count from the process's
            start then, and from this call otherwise.
    """
    started = _PROCESS_STARTED if arguments is None else time.perf_counter()
    try:
        commands.main(args=arguments, prog_name="duet-device", standalone_mode=False, obj=started)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except OutputClosed:
        # Python flushes stdout when it ends, and would complain about the closed pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.STDOUT_CLOSED
    except DeviceError as error:
        click.echo(f"duet-device: {one_line(str(error))}", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("duet-device: interrupted", err=True)
        return ExitCode.INTERRUPTED
    return ExitCode.OK
