"""A disk that is full or cannot be written to: memory, mounted where only chosen commands see it."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

from duet_tools.faults.trials import NotRun

_MIB = 1 << 20
_ROOM = 64 * _MIB
_STOP_S = 10.0


class Disk:
    """A tmpfs on `directory` in a mount namespace of its own, as a context manager.

    Args:
        directory: where it is mounted; it must exist.

    Raises:
        NotRun: the system does not let this user mount one.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = str(directory)
        root = os.geteuid() == 0
        user = [] if root else ["--map-root-user"]
        mount = f'mount -t tmpfs -o size={_ROOM} none "$0" && echo mounted && exec cat'
        if not (shutil.which("unshare") and shutil.which("nsenter")):
            raise NotRun("unshare and nsenter (util-linux) are not installed")
        # The namespace lasts as long as this process.
        self._keeper = subprocess.Popen(
            ["unshare", *user, "--mount", "sh", "-c", mount, self._directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._keeper.stdout
        if not self._keeper.stdout.readline():
            self._keeper.wait(_STOP_S)
            raise NotRun("this user may not mount a file system")
        enter = [] if root else ["--user", "--preserve-credentials"]
        self.wrapper = ("nsenter", "--target", str(self._keeper.pid), *enter, "--mount")
        """Command in front of each command that is to see the disk."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._keeper.kill()
        self._keeper.communicate(timeout=_STOP_S)

    def fill(self, source: Path, free: int) -> None:
        """Copy what is in `source` to the disk, and leave `free` bytes."""
        self._run("cp", "-a", f"{source}/.", self._directory)
        used = self._run("df", "--output=used", "-B1", self._directory).split()[-1]
        self._mount(f"size={int(used) + free}")

    def make_room(self) -> None:
        """Make the disk large."""
        self._mount(f"size={_ROOM}")

    def make_read_only(self) -> None:
        """Let no one write."""
        self._mount("ro")

    def _mount(self, options: str) -> None:
        self._run("mount", "-o", f"remount,{options}", self._directory)

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            [*self.wrapper, *command], capture_output=True, text=True, check=True, timeout=30
        )
        return done.stdout
