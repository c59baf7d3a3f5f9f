"""Other programs: run to their end, with the one line that says why one failed."""

import re
import subprocess
from collections.abc import Sequence

# A progress bar may come after the exception that ended it.
_EXCEPTION = re.compile(r"^[\w.]*(Error|Exception|Interrupt|Exit)\b.*")


def run(command: Sequence[str], seconds: float | None = None) -> tuple[int, str]:
    """Exit code, and the last exception or else the last line on standard error.

    Raises:
        OSError, subprocess.TimeoutExpired: it cannot be started, or takes too long.
    """
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    lines = [line.strip() for line in re.split(r"[\r\n]+", done.stderr) if line.strip()]
    exceptions = [line for line in lines if _EXCEPTION.match(line)]
    return done.returncode, (exceptions or lines or ["no reason given"])[-1]
