"""What the commands of supervised training have in common: progress lines and exit codes."""

import sys
from collections.abc import Callable

from training.errors import TrainingError

UNFINISHED = 3


def report(role: str, steps: int, step: int, loss: float, speed: float) -> None:
    """A line of progress; `loss` in nats a token, `speed` in tokens a second."""
    print(f"{role} {step}/{steps}  loss {loss:.4f}  {speed:.0f} tokens/s", flush=True)


def exit_code(name: str, work: Callable[[], int]) -> int:
    """What `work` gives: 0 when done, `UNFINISHED` when the time was up before; else 1, with one
    line on standard error.
    """
    try:
        return work()
    except (TrainingError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
