"""Commands that are started: their output in a file, a limit to their time, always ended.

Each runs in a session of its own, so that Ctrl-C belongs to who started it, who then ends it in
order: the bench and the trainer have children of their own, and need time to end those.
"""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from duet_training.errors import TrainingError

ROOT = Path(__file__).parents[3]
_PATH = os.pathsep.join((str(ROOT), str(ROOT / "proto")))
# The bench ends two servers, 15 s each. Who waits for a command that waits for the bench has more.
PATIENCE_S = 60.0


class CommandFailed(TrainingError):
    """A command that cannot be started, ended with an error, or took too long; its log says more.

    `code`: its exit code, None where it has none.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class TookTooLong(CommandFailed):
    """A command that was ended at its limit."""


def run(
    name: str,
    command: Sequence[str],
    log: Path,
    *,
    limit_s: float | None = None,
    output: IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
    patience_s: float = PATIENCE_S,
    running: set[subprocess.Popen[bytes]] | None = None,
) -> None:
    """Runs a command to its end; interrupted, it is ended, and all that it started.

    `name`: in messages. `log`: appended to. `output`: where stdout goes instead. `environment`:
    beside one's own. `patience_s`: for it to end when asked to. `running`: holds the process while
    it runs, for another thread to end it.

    Raises:
        CommandFailed: see there; TookTooLong at the limit.
        KeyboardInterrupt: nothing of the command runs any more.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as said:
        try:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": _PATH, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output or said,
                stderr=said,
                start_new_session=True,
            )
        except OSError as error:
            raise CommandFailed(f"{name}: cannot start {command[0]}: {error.strerror}") from error
        if running is not None:
            running.add(process)
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired as error:
            raise TookTooLong(f"{name} took more than {limit_s:g} s (see {log})") from error
        finally:
            end(process, patience_s)
            if running is not None:
                running.discard(process)
    if code:
        raise CommandFailed(f"{name} failed: {_last_line(log) or f'exit {code}'} (see {log})", code)


def end(process: subprocess.Popen[bytes], patience_s: float = PATIENCE_S) -> None:
    """Ends a process that runs: asks it to, waits, then kills it; and what it leaves behind."""
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
