"""`duet-device`: the installed program."""

import sys
import time
from collections.abc import Sequence

from duet_contract import console

# As near to the process's start as this package can see: a question's time includes the imports.
_PROCESS_STARTED = time.perf_counter()
# The libraries of the extra `device`; the contract's own come with the package.
_INSTALL = "pip install click keyring llama-cpp-python numpy"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code (`duet_device.errors.ExitCode`).

    Args:
        arguments: the command line; the process's own, if None. Times count from the process's
            start then, and from this call otherwise.
    """
    if sys.platform == "win32":
        sys.stderr.write("duet-device: Windows is not supported: run it in WSL, Linux or macOS\n")
        return console.EXIT_FAILED
    started = _PROCESS_STARTED if arguments is None else time.perf_counter()

    def command() -> int:
        # Here, so that a library that is missing is one line, too.
        from duet_device.commands.group import run_command

        return run_command(arguments, started)

    return console.run("duet-device", command, install=_INSTALL)


if __name__ == "__main__":
    sys.exit(main())
