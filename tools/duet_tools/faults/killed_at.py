"""`python -m duet_tools.faults.killed_at N FOLDER MODULE ...`: a module that is killed while it works.

Runs MODULE with its arguments, and kills the process (SIGKILL) right before its Nth change in
FOLDER: a file that is opened for writing, renamed, linked or deleted, a directory that is made. With
N = 0 nothing is killed; the last line on stderr is then the number of changes.
"""

import os
import runpy
import signal
import sys
from typing import Any

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CHANGES = ("os.rename", "os.link", "os.symlink", "os.mkdir", "os.remove", "os.rmdir")


class _Changes:
    """Counts changes, by the audit events of Python (PEP 578)."""

    def __init__(self, last: int, folder: str) -> None:
        self._last = last
        self._folder = folder
        self.count = 0

    def see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            paths = (path,) if flags & _WRITES else ()
        elif event in _CHANGES:
            paths = arguments[:2]
        else:
            return
        if any(self._inside(path) for path in paths):
            self.count += 1
            if self.count == self._last:
                os.kill(os.getpid(), signal.SIGKILL)

    def _inside(self, path: object) -> bool:
        # Otherwise it is a descriptor of an open file.
        return isinstance(path, str | os.PathLike) and str(path).startswith(self._folder)


def main() -> None:
    """Run what the command line asks for."""
    last, folder, module, *arguments = sys.argv[1:]
    changes = _Changes(int(last), folder)
    sys.argv = [module, *arguments]
    sys.addaudithook(changes.see)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        if not changes._last:
            print(changes.count, file=sys.stderr)


if __name__ == "__main__":
    main()
