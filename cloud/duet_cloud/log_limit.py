"""Bound the log lines that callers can cause, so that none of them fills the disk."""

import time
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any

WINDOW_S = 60.0
MOST_LINES = 60


class LogLimit:
    """Admits lines: `each` of the same key in `WINDOW_S` seconds, and `MOST_LINES` in all.

    Args:
        each: lines of the same key.
        clock: seconds on a steady clock.
    """

    def __init__(self, each: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._each = each
        self._clock = clock
        self._window_ends = 0.0
        self._logged: Counter[Hashable] = Counter()
        self._left_out = 0

    def admit(self, *key: Hashable) -> dict[str, Any] | None:
        """Return fields to add to the line; None if the line must be left out.

        The fields say how many lines were left out since the last one, if any were.
        """
        if (now := self._clock()) >= self._window_ends:
            self._window_ends = now + WINDOW_S
            self._logged.clear()
        if self._logged[key] >= self._each or self._logged.total() >= MOST_LINES:
            self._left_out += 1
            return None
        self._logged[key] += 1
        more: dict[str, Any] = {"left_out": self._left_out} if self._left_out else {}
        self._left_out = 0
        return more
