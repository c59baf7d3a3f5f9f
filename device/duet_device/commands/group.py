"""The commands of `duet-device`, and how every error ends."""

import io
import sys
from collections.abc import Sequence

import click

import duet_contract.console as console
from duet_contract.errors import ContractError
from duet_contract.terminal import printable
from duet_device.commands.ask import ask
from duet_device.commands.enroll import enroll
from duet_device.commands.logs import forget, logs
from duet_device.commands.output import note
from duet_device.commands.pairs import pairs, rm
from duet_device.commands.pull import pull
from duet_device.commands.trust import trust
from duet_device.errors import DeviceError, ExitCode, OutputClosed


@click.group(context_settings={"auto_envvar_prefix": "DUET", "help_option_names": ["-h", "--help"]})
@click.version_option(package_name="duet-device", prog_name="duet-device")
def commands() -> None:
    """The device's half of DUET: a small model that answers with a large one's short signal."""


# Without the command's name in between: DUET_SERVER, not DUET_ASK_SERVER.
for command in (ask, pull):
    command.context_settings["auto_envvar_prefix"] = "DUET"
commands.add_command(ask)
for command in (enroll, pull, pairs, rm, trust, logs, forget):
    commands.add_command(command)


def run_command(arguments: Sequence[str] | None, started: float) -> int:
    """Runs a command and returns its exit code; what the device raises ends in one line.

    Args:
        arguments: the command line; the process's own, if None.
        started: `time.perf_counter()` that a question's time counts from.
    """
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure:
        # What an encoding lacks is shown as a question mark; it does not lose the answer.
        reconfigure(errors="replace")
    try:
        code = commands.main(
            args=arguments, prog_name="duet-device", standalone_mode=False, obj=started
        )
        sys.stdout.flush()
    except click.ClickException as error:
        message = io.StringIO()
        error.show(file=message)
        sys.stderr.write(printable(message.getvalue()))
        return ExitCode.USAGE
    except (OutputClosed, console.OutputClosed):
        return ExitCode.STDOUT_CLOSED
    except console.OutputLost as error:
        # From click's own output, such as --help.
        note(str(error))
        return ExitCode.OUTPUT
    except ContractError as error:
        note(str(error))
        return ExitCode.MODEL
    except DeviceError as error:
        note(str(error))
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        note("interrupted")
        return ExitCode.INTERRUPTED
    except (MemoryError, RuntimeError, ImportError, OSError) as error:
        if not _out_of_memory(error):
            raise
        note("out of memory, or of threads: end other programs, or raise the limit (ulimit -a)")
        return ExitCode.MODEL
    # click returns the code of `Context.exit`, and None otherwise.
    return code or ExitCode.OK


# How Python, the dynamic linker and the C library say it; none of them has a type for it.
_NO_MEMORY = ("can't start new thread", "failed to map segment", "Cannot allocate memory")


def _out_of_memory(error: BaseException | None) -> bool:
    """Whether a lack of memory or threads is behind an error, such as that of an import."""
    while error is not None:
        if isinstance(error, MemoryError) or any(said in str(error) for said in _NO_MEMORY):
            return True
        error = error.__cause__ or error.__context__
    return False
