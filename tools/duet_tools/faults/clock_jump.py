"""`python -m duet_tools.faults.clock_jump AFTER OFFSET MODULE ...`: a module whose clock jumps.

After AFTER seconds of the process, the wall clock that its Python code sees (`time.time`,
`datetime.now`) is OFFSET seconds from the real one. TLS libraries see the real one.
"""

import datetime as dt
import runpy
import sys
import time

_real = time.time


class _Clock:
    """The wall clock after the jump."""

    def __init__(self, after_s: float, offset_s: float) -> None:
        self._at = time.monotonic() + after_s
        self._offset_s = offset_s

    def time(self) -> float:
        return _real() + (self._offset_s if time.monotonic() >= self._at else 0.0)


def main() -> None:
    """Run what the command line asks for."""
    after_s, offset_s, module, *arguments = sys.argv[1:]
    clock = _Clock(float(after_s), float(offset_s))

    class Jumping(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> "Jumping":
            return cls.fromtimestamp(clock.time(), tz)

    time.time = clock.time
    dt.datetime = Jumping  # type: ignore[misc]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
