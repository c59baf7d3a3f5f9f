"""What a command is given by its user while it runs: text on stdin, y or n, Ctrl-C."""

import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType

import click

from duet_contract.console import signals_go_to
from duet_contract.terminal import one_line
from duet_device.errors import Interrupted, UsageProblem
from duet_device.text import decode_text

# Below Python's own maximum, so that stdin of any length is refused by size and not by memory.
_MOST_STDIN_BYTES = 16 << 20


def read_stdin() -> str:
    """Return the question on stdin.

    Raises:
        UsageProblem: it cannot be read, is too long, or is not text.
    """
    try:
        if sys.stdin.buffer.isatty():
            sys.stderr.write("Question (end with Enter, Ctrl-D): ")
            sys.stderr.flush()
        data = sys.stdin.buffer.read(_MOST_STDIN_BYTES + 1)
    except OSError as error:
        raise UsageProblem(
            f"cannot read the question from stdin: {error.strerror}; give it as an argument"
        ) from error
    if len(data) > _MOST_STDIN_BYTES:
        raise UsageProblem(f"the question on stdin has more than {_MOST_STDIN_BYTES} bytes")
    try:
        return decode_text(data).rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UsageProblem(
            f"the question on stdin is not {error.encoding.upper()} (byte {error.start}): "
            "convert it, for example with iconv"
        ) from error


def read_line() -> str | None:
    """Return the next line of stdin; None at its end.

    Raises:
        UsageProblem: it cannot be read, or is not text.
    """
    try:
        line = sys.stdin.buffer.readline(_MOST_STDIN_BYTES)
        return decode_text(line).rstrip("\r\n") if line else None
    except OSError as error:
        raise UsageProblem(f"cannot read stdin: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageProblem("the line on stdin is not UTF-8") from error


class Stop(threading.Event):
    """Set by Ctrl-C and by SIGTERM."""

    ends_command = False
    """Whether it was SIGTERM, which ends the command and not one question alone."""


def stop_on_interrupt(context: click.Context) -> Stop:
    """Return an event that Ctrl-C and SIGTERM set, until the command has ended.

    Python drops an exception that is raised inside a callback from llama.cpp, and prints it; the
    event is still set then, and looked at before the next step, so what Python prints can be ignored.
    """
    stop = Stop()

    def report(unraisable: "sys.UnraisableHookArgs") -> None:
        if not isinstance(unraisable.exc_value, Interrupted):
            sys.__unraisablehook__(unraisable)

    def interrupt(number: int, _frame: FrameType | None) -> None:
        stop.ends_command = stop.ends_command or number == signal.SIGTERM
        stop.set()
        raise Interrupted("interrupted")

    def restore(before: "Callable[[sys.UnraisableHookArgs], object]") -> None:
        sys.unraisablehook = before

    context.call_on_close(partial(restore, sys.unraisablehook))
    sys.unraisablehook = report
    context.with_resource(signals_go_to(interrupt, signal.SIGINT, signal.SIGTERM))
    return stop


def confirmed(question: str, without: str) -> bool:
    """Ask on stderr and read the answer from stdin.

    Args:
        question: to be answered with y or n.
        without: what the error advises where no one answers.

    Raises:
        UsageProblem: there is no one who could answer.
    """
    sys.stderr.write(one_line(question) + " [y/N]: ")
    sys.stderr.flush()
    try:
        answer = sys.stdin.readline()
    except (OSError, ValueError):
        answer = ""
    if not answer:
        sys.stderr.write("\n")
        raise UsageProblem(f"no one answered on stdin: {without}")
    return answer.strip().lower() in ("y", "yes")
