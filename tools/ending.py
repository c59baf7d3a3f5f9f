"""How every command of the tools ends: one line on stderr for what went wrong, and an exit code."""

import signal
import sys

import click

from tools.bench.errors import BenchError

EXIT_CODES = """\b
Exit codes:
    0  done
    1  something failed, or what was asked for is stale
    2  usage
  130  interrupted
"""


def end(command: click.Command, name: str, arguments: list[str] | None = None) -> int:
    """Runs a command and returns its exit code.

    Ended from outside (SIGTERM) is ended like Ctrl-C: children are ended, and what is measured is
    kept.
    """
    program = name.split(".py")[0]
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        command.main(arguments, prog_name=name, standalone_mode=False)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        print(f"{program}: {error.format_message()}", file=sys.stderr)
        return 2
    except BenchError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        print(f"{program}: interrupted", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0
