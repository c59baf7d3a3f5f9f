"""`duet-device`: the installed command."""

import gc
import sys
import time
from collections.abc import Sequence

from duet_contract import console

# As near to the process's start as this package can see: a question's time includes the imports.
_PROCESS_STARTED = time.perf_counter()
INSTALL = console.install_command(__file__, ("proto", "device"), "duet-device")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code (`duet_device.errors.ExitCode`).

    Args:
        arguments: the command line; the process's own, if None. Times count from the process's
            start then, and from this call otherwise.
    """
    if sys.platform == "win32":
        sys.stderr.write("duet-device: Windows is not supported: run it in WSL, Linux or macOS\n")
        return console.EXIT_FAILED
    if arguments is None:
        started = _PROCESS_STARTED
        # What imports allocate stays; Python's default would search it for garbage every 700 objects.
        gc.set_threshold(10_000)
    else:
        started = time.perf_counter()

    def command() -> int:
        # Imported here, so that a missing library is reported in one line.
        from duet_device.commands.program import PROGRAM

        if reconfigure := getattr(sys.stdout, "reconfigure", None):
            # A character that the encoding lacks becomes a question mark; the answer is not lost.
            reconfigure(errors="replace")
        words = sys.argv[1:] if arguments is None else arguments
        if not words and sys.stdin.isatty() and sys.stdout.isatty():
            words = ["status", "--next"]
        return PROGRAM.run(words, obj=started)

    code = console.run("duet-device", command, install=INSTALL, ends_process=arguments is None)
    if arguments is None:
        # The process ends: Python need not look through all that was imported for what is unused.
        gc.freeze()
    return code
