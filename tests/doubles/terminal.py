"""`duet-device` in a pseudo-terminal that a test reads and types into."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

# The installed program, with a decoder that needs no model.
PROGRAM = r"""
import os, sys
from duet_device import session
from duet_device.cli import main
from tests.doubles.decoder import ScriptedDecoder, answering as saying
text = os.environ.get("TEST_ANSWER", "h\xe4ppy \U0001f642")
session.load_decoder = lambda pair, threads: ScriptedDecoder(saying(text, " A:"))
sys.exit(main())
"""
CTRL_C, CTRL_D = "\x03", "\x04"
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """Runs the program with a terminal as stdin, stdout, stderr and controlling terminal.

    Args:
        arguments: of `duet-device`.
        environment: added to this process's.
        columns: width of the terminal.
        program: what Python runs.
    """

    def __init__(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        columns: int = 80,
        program: str = PROGRAM,
    ) -> None:
        self._ours, theirs = pty.openpty()
        self._modes = termios.tcgetattr(theirs)
        self.resize(columns)
        self.output = ""
        # They go before the terminal's own size.
        inherited = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**inherited, **(environment or {})},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        os.close(self._ours)

    def resize(self, columns: int) -> None:
        """Gives the terminal another width."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def terminate(self) -> None:
        """Sends SIGTERM."""
        self._process.send_signal(signal.SIGTERM)

    def is_as_before(self) -> bool:
        """Whether typed characters are echoed in whole lines, and the cursor shows."""
        modes = termios.tcgetattr(self._ours)
        cursor_shows = self.output.rfind("\x1b[?25h") >= self.output.rfind("\x1b[?25l")
        return modes == self._modes and cursor_shows

    def type(self, text: str, encoding: str = "utf-8") -> None:
        """Types, as a keyboard of that encoding does."""
        os.write(self._ours, text.encode(encoding))

    def expect(self, text: str, timeout_s: float = 60) -> None:
        """Waits until the terminal shows a text."""
        until = time.monotonic() + timeout_s
        while text not in self.shown:
            assert time.monotonic() < until, self.output
            assert self.read(), f"{text!r} is not in:\n{self.output}"

    def end(self, timeout_s: float = 60) -> int:
        """Reads until the program ends; its exit code."""
        code = self.ended(timeout_s)
        assert code is not None, self.output
        return code

    def ended(self, timeout_s: float) -> int | None:
        """Reads until the program ends; None if it does not in time."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until and self.read():
            pass
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(max(1.0, until - time.monotonic()))
        return None

    @property
    def shown(self) -> str:
        """What was shown, without styles and with the terminal's line ends."""
        return _ESCAPE.sub("", self.output).replace("\r\n", "\n")

    def read(self) -> bool:
        """Reads what there is, or waits for it for a moment; False once the other side is closed."""
        if not select.select([self._ours], [], [], 0.1)[0]:
            return True
        try:
            part = os.read(self._ours, 65536)
        except OSError:  # how Linux reports that the other side is closed
            return False
        self.output += part.decode("utf-8", "replace")
        return bool(part)
