"""Devices as commands: `duet-device` in a home of its own."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from duet_tools.faults.trials import Unheld
from duet_tools.subjects.authority import PASSPHRASE

_LIMIT_S = 60.0
# One line that says what failed, and notes before it.
_MOST_LINES = 4
_MOST_SHOWN = 100
# Paths, addresses, ids.
_OWN = re.compile(r"/\S+|\S*\d{2,}\S*")


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    """Exit code; negative: the signal that killed it."""
    out: str
    """Its stdout."""
    err: str
    """Its stderr."""

    @property
    def both(self) -> str:
        """Its stdout and stderr."""
        return self.out + self.err

    def check(self, *codes: int) -> "Said":
        """Check that it ended with one of these codes, and said so in lines meant for a user.

        Raises:
            Unheld: it did not.
        """
        if "Traceback" in self.err:
            raise Unheld(f"a traceback: {self._last_line()}")
        if self.code not in codes:
            raise Unheld(f"exit code {self.code}: {self._last_line()}")
        if self.code and not 1 <= len(self.err.strip().splitlines()) <= _MOST_LINES:
            raise Unheld(f"exit code {self.code} with {len(self.err.splitlines())} lines")
        return self

    def _last_line(self) -> str:
        """Return its last line, without what differs between runs and machines."""
        line = (self.err.strip().splitlines() or ["nothing said"])[-1]
        return _OWN.sub("...", line)[:_MOST_SHOWN]


@dataclass(frozen=True)
class Home:
    """What one device stores: its home, and its pairs."""

    directory: Path
    """Directory that holds both."""
    wrapper: tuple[str, ...] = ()
    """Command in front of each command of the device."""

    @property
    def data(self) -> Path:
        """Directory of identities, keys and history."""
        return self.directory / "home"

    @property
    def pairs(self) -> Path:
        """Directory of pairs."""
        return self.directory / "pairs"

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a device's command that differ from this process's."""
        return {
            "DUET_HOME": str(self.data),
            "DUET_PAIRS": str(self.pairs),
            "DUET_PASSPHRASE": PASSPHRASE,
            "XDG_STATE_HOME": str(self.directory / "state"),
        }

    def copy(self, name: str) -> "Home":
        """Return a copy of this home next to it, in place of an earlier one of that name."""
        other = Home(self.directory.with_name(name))
        shutil.rmtree(other.directory, ignore_errors=True)
        shutil.copytree(self.directory, other.directory, symlinks=True)
        return other

    def start(self, *arguments: str, module: Sequence[str] = ("duet_device",)) -> "Command":
        """Start a command of the device, or another Python module with arguments."""
        return Command(
            subprocess.Popen(
                [*self.wrapper, sys.executable, "-m", *module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, **self.environment},
            )
        )

    def run(self, *arguments: str, module: Sequence[str] = ("duet_device",)) -> Said:
        """Run a command of the device to its end.

        Raises:
            Unheld: it does not end.
        """
        return self.start(*arguments, module=module).wait()


class Command:
    """A command that runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def wait(self, seconds: float = _LIMIT_S) -> Said:
        """Wait until it ends.

        Raises:
            Unheld: it does not end.
        """
        try:
            out, err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise Unheld("a command hangs") from None
        return Said(self.process.returncode, out, err)

    def kill(self) -> Said:
        """Kill it, as a power cut does."""
        self.process.send_signal(signal.SIGKILL)
        return self.wait()
