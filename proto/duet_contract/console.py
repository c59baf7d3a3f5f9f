"""Secure the standard streams of every command, and define how a command ends.

`run` is the outermost call of a command. It guarantees:

- A descriptor that is closed at the start is never reused for a socket or a file.
- Reading from a closed stdin is an `OSError`, as reading from any other bad file; a non-blocking
  pipe that is empty is waited for.
- Writing to stdout either succeeds or raises `OutputClosed` or `OutputLost`; a non-blocking pipe
  that is full is waited for.
- Writing to stderr never fails: an answer is not lost because a note could not be written.
- No traceback: what no package mapped ends in one line. `DUET_TRACEBACK=1` prints it.

`signals_go_to` is for the signals that ask a command to end, `signals_held` for code that no handler's
exception may interrupt.
"""

import contextlib
import io
import os
import select
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, ClassVar, TextIO

from duet_contract.errors import ContractError
from duet_contract.terminal import one_line

if TYPE_CHECKING:
    from typing_extensions import Buffer

EXIT_FAILED = 1
EXIT_INTERNAL = 70
"""EX_SOFTWARE of sysexits.h: a fault of the program's own."""
EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""
EXIT_OUTPUT_CLOSED = 141
"""128 + SIGPIPE, as shells report it."""

TRACEBACK = "DUET_TRACEBACK"


class OutputClosed(ContractError):
    """The reader of stdout has gone; there is no one to report it to."""


class OutputLost(ContractError):
    """Stdout cannot take what was written: it is closed, its disk is full, or it failed."""


def run(
    program: str, command: Callable[[], int], *, install: str = "", ends_process: bool = False
) -> int:
    """Run a command with safe standard streams and return its exit code.

    Args:
        program: its name at the start of each error line.
        command: the work; maps its package's own errors and returns an exit code. Imports of
            optional packages belong inside.
        install: the command that installs what `command` imports, for the error line.
        ends_process: whether the process ends next. From the command's end on, Ctrl-C then kills
            it, instead of a traceback from whatever Python cleans up.

    Returns:
        The command's exit code; 1 if stdout failed or a package is missing, 70 after an
        unexpected error, 130 if interrupted, 141 if the reader of stdout has gone.

    Examples:
        >>> run("example", lambda: 0)
        0
    """
    try:
        code, message = _run(command, install)
        if ends_process:
            _let_interrupts_kill()
    except KeyboardInterrupt:
        code, message = EXIT_INTERRUPTED, "interrupted"
        if ends_process:
            _let_interrupts_kill()
    if message:
        sys.stderr.write(f"{program}: {one_line(message)}\n")
    return code


def main_of(program: str, module: str, install: str) -> Callable[..., int]:
    """Return the `main` of an installed command.

    Args:
        program: its name.
        module: where its `PROGRAM` is (`duet_contract.commands.Program`).
        install: see `run`.
    """

    def main(arguments: Sequence[str] | None = None) -> int:
        """Run a command and return its exit code.

        Args:
            arguments: the command line; the process's own, if None.
        """

        def command() -> int:
            # Imported here, so that a missing library is reported in one line.
            return int(import_module(module).PROGRAM.run(arguments))

        return run(program, command, install=install, ends_process=arguments is None)

    return main


def _run(command: Callable[[], int], install: str) -> tuple[int, str]:
    """Run a command and return its exit code, and what to say about it."""
    try:
        secure_streams()
        try:
            return command(), ""
        finally:
            sys.stdout.flush()
    except OutputClosed:
        return EXIT_OUTPUT_CLOSED, ""
    except OutputLost as error:
        return EXIT_FAILED, str(error)
    except Exception as error:
        if os.environ.get(TRACEBACK):
            # Imported here: every command would wait for it.
            import traceback

            traceback.print_exc()
        if was_interrupted(error):
            return EXIT_INTERRUPTED, "interrupted"
        if isinstance(error, ModuleNotFoundError):
            hint = f"; install it with: {install}" if install else ""
            package = (error.name or str(error)).partition(".")[0]
            return EXIT_FAILED, f"Python package {package} is not installed{hint}"
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return EXIT_INTERNAL, f"internal error: {said} ({TRACEBACK}=1 prints where)"


def was_interrupted(error: BaseException | None) -> bool:
    """Return whether Ctrl-C is behind an error.

    It may arrive in any line, such as in the cleanup of a library, which then raises something else.

    Args:
        error: what ended the command; errors that it was raised from, or while handling, count.

    Examples:
        >>> was_interrupted(ValueError("not a number"))
        False
        >>> error = RuntimeError("release unlocked lock")
        >>> error.__context__ = KeyboardInterrupt()
        >>> was_interrupted(error)
        True
    """
    while error is not None:
        of_program = getattr(error, "exit_code", None) == EXIT_INTERRUPTED
        if of_program or isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextlib.contextmanager
def signals_go_to(
    handler: Callable[[int, FrameType | None], object], *numbers: signal.Signals
) -> Iterator[None]:
    """Handle signals inside the block. Outside the main thread, nothing changes.

    Args:
        handler: see `signal.signal`.
        numbers: signals; one that the process ignores, as a background job of a script ignores
            SIGINT, stays ignored.

    Examples:
        >>> heard = []
        >>> with signals_go_to(lambda number, _: heard.append(number), signal.SIGTERM):
        ...     signal.raise_signal(signal.SIGTERM)
        >>> heard == [signal.SIGTERM]
        True
    """

    def deliver(number: int, frame: FrameType | None) -> None:
        if _Held.blocks:
            _Held.waiting.append(partial(handler, number, None))
        else:
            handler(number, frame)

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in numbers}
    handled = [number for number, old in before.items() if old is not signal.SIG_IGN]
    for number in handled:
        signal.signal(number, deliver)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number])


class _Held:
    """Signals of `signals_go_to` that wait for the end of a block; of the main thread."""

    blocks = 0
    """Blocks that the main thread is in."""
    waiting: ClassVar[list[Callable[[], object]]] = []
    """Calls of handlers."""


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Deliver the signals of `signals_go_to` after the block.

    Python runs handlers between any two instructions of the main thread. One that raises inside
    gRPC leaves a lock locked, and gRPC's threads then wait for it for good. The block must be short.

    Examples:
        >>> heard = []
        >>> with signals_go_to(lambda number, _: heard.append(number), signal.SIGTERM):
        ...     with signals_held():
        ...         signal.raise_signal(signal.SIGTERM)
        ...         heard_within = bool(heard)
        >>> heard_within, heard == [signal.SIGTERM]
        (False, True)
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _Held.blocks += 1
    try:
        yield
    finally:
        _Held.blocks -= 1
        if not _Held.blocks:
            # It runs the last one first, and each, whatever another one raises.
            with contextlib.ExitStack() as stack:
                while _Held.waiting:
                    stack.callback(_Held.waiting.pop())


def _let_interrupts_kill() -> None:
    # A program that ignores Ctrl-C, as the shell's background jobs do, continues to.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def install_command(package_file: str, folders: Sequence[str], distribution: str) -> str:
    """Return the command that installs a package with what it imports, for the place it runs from.

    Args:
        package_file: `__file__` of a module at the top of the package.
        folders: projects of the checkout to install, with extras: `("proto", "cloud[gpu]")`.
        distribution: what to install where there is no checkout: `duet-cloud[gpu]`.

    Examples:
        >>> install_command("/site-packages/duet_cloud/cli.py", ["proto"], "duet-cloud[gpu]")
        "pip install 'duet-cloud[gpu]'"
    """
    root = Path(package_file).resolve().parents[2]
    if not (root / "proto" / "pyproject.toml").is_file():
        return shlex.join(["pip", "install", distribution])
    try:
        here = Path.cwd() == root
    except OSError:
        here = False
    places = [f"./{each}" if here else str(root / each) for each in folders]
    return shlex.join(["pip", "install", *places])


def secure_streams() -> None:
    """Replace the process's own stdin, stdout and stderr by the ones that `run` promises.

    Streams that something else has replaced, such as a test's capture, stay.
    """
    _reserve_descriptors()
    if _is_own(sys.stdin, sys.__stdin__):
        sys.stdin = io.TextIOWrapper(
            _SecuredInput(_Input(0)),
            encoding=getattr(sys.stdin, "encoding", None) or "utf-8",
            errors=getattr(sys.stdin, "errors", None) or "strict",
        )
    if _is_own(sys.stdout, sys.__stdout__):
        sys.stdout = _text_stream(_Output(1), sys.stdout, "strict")
    if _is_own(sys.stderr, sys.__stderr__):
        sys.stderr = _text_stream(_Notes(2), sys.stderr, "backslashreplace")


def _reserve_descriptors() -> None:
    """Give each closed standard descriptor a file that fails, as gnulib's `stdopen` does.

    The file for stderr discards what is written, since a lost note is not a failure.
    """
    for descriptor, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free descriptor is this one, since those below are open by now.
            opened = os.open(os.devnull, flags)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            os.set_inheritable(descriptor, True)


def _is_own(stream: object, original: object) -> bool:
    buffer = getattr(stream, "buffer", None)
    return stream is original and not isinstance(buffer, _Secured | _SecuredInput)


def _text_stream(raw: io.RawIOBase, before: TextIO | None, errors: str) -> io.TextIOWrapper:
    if before is not None:
        before.flush()
    return io.TextIOWrapper(
        _Secured(raw),
        encoding=getattr(before, "encoding", None) or "utf-8",
        errors=getattr(before, "errors", None) or errors,
        # A terminal shows each line at once; stderr never holds anything back.
        line_buffering=raw.isatty() or isinstance(raw, _Notes),
        write_through=isinstance(raw, _Notes),
    )


class _Secured(io.BufferedWriter):
    """Marks streams of this module."""


class _SecuredInput(io.BufferedReader):
    """Marks streams of this module."""


class _Input(io.FileIO):
    """Stdin: waits while a non-blocking pipe is empty."""

    # In terms of `readinto`; those of FileIO do not wait.
    read = io.RawIOBase.read  # type: ignore[assignment]
    readall = io.RawIOBase.readall

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "r", closefd=False)

    def readinto(self, buffer: "Buffer", /) -> int:
        """See `io.RawIOBase.readinto`."""
        while (count := super().readinto(buffer)) is None:
            select.select([self], [], [])
        return count


class _Output(io.FileIO):
    """Stdout: waits while a pipe is full, and raises our own errors once it fails."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._lost = False

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        """See `io.RawIOBase.write`.

        Raises:
            OutputClosed, OutputLost: once; later writes are dropped, so that Python's flush at
                its end does not fail again.
        """
        if self._lost:
            return len(data)
        try:
            while True:
                if (count := super().write(data)) is not None:
                    return count
                select.select([], [self], [])
        except BrokenPipeError as error:
            self._lost = True
            raise OutputClosed("the reader of stdout has gone") from error
        except OSError as error:
            self._lost = True
            raise OutputLost(f"cannot write to stdout: {error.strerror}") from error


class _Notes(io.FileIO):
    """Stderr: what cannot be written is dropped."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        """See `io.RawIOBase.write`; never fails, and never waits."""
        with contextlib.suppress(OSError):
            super().write(data)
        return len(data)
