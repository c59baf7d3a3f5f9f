"""Predict tokens by prompt lookup: repeated words often have the same continuation.

The guess comes from llama-cpp-python's prompt lookup; the decoder checks all of it in one batch,
which costs less than as many single steps. Only for greedy answers, which it does not change.
"""

from collections.abc import Sequence

import numpy as np
from llama_cpp.llama_speculative import LlamaPromptLookupDecoding

# A batch of 4 costs little more than a single step; longer guesses are for text that is copied.
SHORT_GUESS = 3
LONG_GUESS = 7
LONGEST_MATCH = 3
# How much the latest measurement counts in a running mean.
_WEIGHT = 0.2
_FIRST_PAUSE = 16
_LONGEST_PAUSE = 256


class PromptLookup:
    """Guesses tokens, and stops guessing while that is slower than not to.

    `guessed`, `accepted`: tokens guessed so far, and those of them that were right.
    """

    def __init__(self, ids: Sequence[int], room: int) -> None:
        """`ids`: the sequence so far; `room`: the most tokens that it may grow to."""
        self._lookup = LlamaPromptLookupDecoding(LONGEST_MATCH, LONG_GUESS)
        self._ids = np.empty(max(room, len(ids)) + 1, np.intc)
        self._count = 0
        # Pairs of neighbors. The lookup costs as much as it saves unless at least two tokens
        # match, and asking this set first is far cheaper than asking the lookup.
        self._pairs: set[tuple[int, int]] = set()
        self._plain_ms = 0.0
        self._guess_ms = 0.0
        self._length = SHORT_GUESS
        self._paused = 0
        self._pause = _FIRST_PAUSE
        self.guessed = 0
        self.accepted = 0
        for token in ids:
            self.append(token)

    def append(self, token: int) -> None:
        """Add a token that came."""
        if self._count >= 2:
            # The newest pair is left out: it would match itself.
            self._pairs.add((int(self._ids[self._count - 2]), int(self._ids[self._count - 1])))
        self._ids[self._count] = token
        self._count += 1

    def guess(self, most: int) -> list[int]:
        """Return up to `most` predicted tokens; none if a plain step is likely to be faster."""
        if self._paused:
            self._paused -= 1
            return []
        if self._count < 2 or not self._plain_ms:
            return []
        pair = (int(self._ids[self._count - 2]), int(self._ids[self._count - 1]))
        if pair not in self._pairs:
            return []
        found = self._lookup(self._ids[: self._count])
        return [int(token) for token in found[: min(most, self._length)]]

    def plain_step(self, ms: float) -> None:
        """Record how long a step without a guess took, in milliseconds."""
        self._plain_ms += (ms - self._plain_ms) * (_WEIGHT if self._plain_ms else 1.0)

    def guess_step(self, ms: float, guessed: int, right: int) -> None:
        """Record how long the check of a guess took, and how many of its tokens were right."""
        self.guessed += guessed
        self.accepted += right
        self._length = LONG_GUESS if right == guessed else SHORT_GUESS
        per_token = ms / (right + 1)
        self._guess_ms += (per_token - self._guess_ms) * (_WEIGHT if self._guess_ms else 1.0)
        if self._guess_ms > self._plain_ms:
            self._paused = self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            self._guess_ms = 0.0
        elif right:
            self._pause = _FIRST_PAUSE
