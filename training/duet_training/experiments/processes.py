"""Commands that are started: their output goes to a log, their time is limited, they always end.

Each runs in a session of its own, so that Ctrl-C reaches only the process that started it, which
then ends it in order: the bench and the trainer have children of their own and need time to end
those.
"""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from duet_training.errors import CommandError, CommandTimeout

ROOT = Path(__file__).parents[3]
_PROJECTS = ("proto", "device", "cloud", "cloud/pairs", "training", "tools", "tools/report")
# The last line of a log says why a command failed: no warning may follow it.
_ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join(str(path) for path in (ROOT, *map(ROOT.joinpath, _PROJECTS))),
    "PYTHONWARNINGS": "ignore",
}
# The bench ends two servers, 15 s each. Who waits for a command that waits for the bench has more.
PATIENCE_S = 60.0


class Processes:
    """The commands that run now, each in the thread that started it."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        """Create an empty set; a command has `patience_s` to end after it was asked to."""
        self.running: set[subprocess.Popen[bytes]] = set()
        self._patience_s, self._stopped = patience_s, False

    def stop(self) -> None:
        """End all commands; none starts after that."""
        self._stopped = True
        for process in list(self.running):
            _end(process, self._patience_s)

    def run(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        limit_s: float | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Run a command to its end. When interrupted, end it and all that it started.

        Args:
            name: Its name in messages.
            command: Program and arguments; it runs in the root of the repository.
            log: Appended to.
            limit_s: Most seconds that it may take.
            environment: Variables besides those of this process.

        Raises:
            CommandError: It cannot start or ended with an error; `CommandTimeout` at the limit.
            KeyboardInterrupt: The run was interrupted; all processes of the command have ended.
        """
        if self._stopped:
            raise CommandError(f"{name} was not started: interrupted")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as opened:
            try:
                process = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env={**os.environ, **_ENVIRONMENT, **(environment or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=opened,
                    stderr=opened,
                    start_new_session=True,
                )
            except OSError as error:
                reason = f"cannot start {command[0]}: {error.strerror}"
                raise CommandError(f"{name}: {reason}") from error
            self.running.add(process)
            try:
                code = process.wait(limit_s)
            except subprocess.TimeoutExpired as error:
                raise CommandTimeout(f"{name} took more than {limit_s:g} s (see {log})") from error
            finally:
                _end(process, self._patience_s)
                self.running.discard(process)
        if code:
            raise CommandError(f"{name} failed: {_last_line(log) or f'exit {code}'} (see {log})")


def _end(process: subprocess.Popen[bytes], patience_s: float) -> None:
    """End a running process: ask it to, wait, then kill it and the processes that it leaves."""
    if process.poll() is not None:
        return
    import psutil

    started = []
    with suppress(psutil.NoSuchProcess):
        started = psutil.Process(process.pid).children(recursive=True)
    try:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        # The bench's own children are in groups of their own; psutil knows them by more than ids.
        for child in started:
            with suppress(psutil.NoSuchProcess):
                child.kill()


def _last_line(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
