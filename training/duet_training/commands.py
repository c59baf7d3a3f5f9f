"""How every command of training runs and ends: one line on stderr for what went wrong.

Nothing but the standard library is imported before a missing package can be reported.
"""

import argparse
import math
import signal
import sys
from collections.abc import Callable

INSTALL = "make training-env"
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def run_command(program: str, work: Callable[[], int | None], *, resumes: bool = False) -> int:
    """Runs a command and returns its exit code.

    SIGTERM ends it like Ctrl-C: processes that it started are ended.

    Args:
        program: its name at the start of each error line, `duet_training.train`.
        work: parses the command line and does what it says; imports its packages itself.
        resumes: whether the same command, called again, continues.

    Returns:
        What `work` returns, 0 for None; the exit code of a `TrainingError`; 1 for an error of the
        contract or the system; or one of `duet_contract.console.run`.
    """
    try:
        from duet_contract import console
    except ModuleNotFoundError as error:
        print(
            f"{program}: Python package {error.name} is not installed; install it with: {INSTALL}",
            file=sys.stderr,
        )
        return 1
    return console.run(program, lambda: _run(program, work, resumes), install=INSTALL)


def _run(program: str, work: Callable[[], int | None], resumes: bool) -> int:
    from duet_contract.console import OutputClosed, OutputLost
    from duet_contract.errors import ContractError
    from duet_contract.terminal import one_line
    from duet_training import errors

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return work() or 0
    except (OutputClosed, OutputLost):
        raise
    except SystemExit as ended:
        # argparse ends so behind its help and its errors of usage.
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except KeyboardInterrupt:
        if not resumes:
            raise
        print(f"{program}: interrupted; call it again to continue", file=sys.stderr)
        return EXIT_INTERRUPTED
    except (errors.TrainingError, ContractError, OSError) as error:
        print(f"{program}: {one_line(errors.one_line(error))}", file=sys.stderr)
        return error.exit_code if isinstance(error, errors.TrainingError) else 1
    finally:
        signal.signal(signal.SIGTERM, before)


def whole(least: int, most: int) -> Callable[[str], int]:
    """A type for argparse: whole numbers from `least` to `most`.

    Examples:
        >>> whole(1, 9)("3")
        3
    """

    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(
                f"{text[:40]!r} is no whole number from {least} to {most}"
            )
        return number

    return convert


def real(least: float, most: float) -> Callable[[str], float]:
    """A type for argparse: finite numbers from `least` to `most`; NaN is in no range.

    Examples:
        >>> real(0, 1)("0.5")
        0.5
    """

    def convert(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(
                f"{text[:40]!r} is no number from {least:g} to {most:g}"
            )
        return number

    return convert


SEED = whole(0, 2**31)
STEPS = whole(0, 10_000_000)
TOKENS = whole(1, 1 << 24)
THREADS = whole(1, 1024)
MINUTES = real(0, 1e6)
COUNT = whole(1, 100_000_000)
