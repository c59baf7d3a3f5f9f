"""How every command of the tools runs and ends: one line on stderr for what went wrong.

Nothing but the standard library is imported before a missing package can be reported.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

INSTALL = "pip install ./proto ./device ./tools/report ./tools"
EXIT_CODES = """\b
Exit codes:
    0  done
    1  something failed, or what was asked for is stale
    2  usage
  130  interrupted
  141  the reader of stdout has gone
"""


def end(load: Callable[[], click.Command], name: str, arguments: list[str] | None = None) -> int:
    """Runs a command and returns its exit code.

    SIGTERM ends it like Ctrl-C: children are ended, and what is measured is kept.

    Args:
        load: imports the command; a package that is missing is one line on stderr.
        name: how the command is called, for its help: `bench_split.py figures`.
        arguments: its command line; None: the process's own.

    Returns:
        The command's exit code, or one of `duet_contract.console.run`.
    """
    program = name.split(".py")[0].rpartition(".")[2]
    try:
        from duet_contract import console
    except ModuleNotFoundError as error:
        print(
            f"{program}: Python package {error.name} is not installed; install it with: {INSTALL}",
            file=sys.stderr,
        )
        return 1
    return console.run(program, lambda: _run(load, program, name, arguments), install=INSTALL)


def _run(
    load: Callable[[], click.Command], program: str, name: str, arguments: list[str] | None
) -> int:
    import click

    from duet_contract.console import OutputClosed, OutputLost
    from duet_contract.errors import ContractError
    from duet_contract.terminal import one_line
    from duet_tools.errors import BenchError

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = load().main(arguments, prog_name=name, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except (OutputClosed, OutputLost):
        raise
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        message, code = error.format_message(), 2
    except BenchError as error:
        message, code = str(error), error.exit_code
    except (ContractError, OSError) as error:
        message, code = str(error), 1
    finally:
        signal.signal(signal.SIGTERM, before)
    print(f"{program}: {one_line(message)}", file=sys.stderr)
    return int(code)
