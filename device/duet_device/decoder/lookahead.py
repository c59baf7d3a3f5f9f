"""Evaluate the prompt's end while the signal may still continue, and draft the answer's start.

While the device waits for the next chunk, it evaluates the prompt's end after the signal so far,
as if nothing followed. If nothing does, the answer starts at once. If something does, the sequence
is rolled back, which costs nothing: it copies no part of the key-value cache.

The likeliest next tokens are the answer that the decoder would give now. How sure it is of them
says whether the signal is enough (`duet_device.policy`). The draft of the chunk before is evaluated
in the same batch, so that a draft which stays the same costs one step a chunk, whatever its length.
"""

from collections.abc import Sequence

from duet_device.decoder.llama import BATCH, Decoder
from duet_device.decoder.odds import Odds

DRAFT = 8
"""Tokens of a whole draft."""

Drafted = tuple[int, Odds]


class Lookahead:
    """The decoder's sequence, of which the end may be the prompt's before the signal has ended.

    Args:
        decoder: has evaluated the prompt before the signal.
        suffix: the prompt's tokens after the signal.
        ends: tokens that end the answer, in addition to those that end any text of the model.
        most: tokens of a whole draft; 1 is the answer's first token, which costs no step.
    """

    draft: list[Drafted]
    """The answer's first tokens as of now; all but the last are evaluated. Empty where the signal
    has arrived since."""

    def __init__(
        self, decoder: Decoder, suffix: Sequence[int], ends: frozenset[int], most: int = 1
    ) -> None:
        self._decoder = decoder
        self._suffix = list(suffix)
        self._ends = ends
        self._most = most if decoder.rolls_back else 0
        self._sure = len(decoder.ids)
        self._before: list[int] = []
        # Whether a rollback took the logits after the sequence.
        self._lost = False
        self.draft = []

    @property
    def is_whole(self) -> bool:
        """Whether the draft has its length, or its end."""
        return len(self.draft) >= self._most or (bool(self.draft) and self._ends_at(self.draft[-1]))

    def step(self, held: Sequence[int] = ()) -> bool:
        """Take one step of looking ahead; return False if there is nothing to look for.

        Args:
            held: tokens that have arrived, and may still change by what follows.
        """
        if self.is_whole:
            return False
        if not self.draft:
            if len(held) > BATCH:
                # A text without spaces is held whole.
                return False
            return self._begin([*held, *self._suffix])
        token, _ = self.draft[-1]
        if len(self._decoder.ids) >= self._decoder.context:
            return False
        self._decoder.evaluate((token,))
        self._lost = False
        self._append([self._decoder.most_likely()], self._decoder.odds()[-1:])
        return True

    def arrive(self, ids: Sequence[int], *, last: bool = False) -> list[int]:
        """Take up tokens that have arrived.

        Args:
            ids: the tokens; they follow all that arrived before.
            last: whether these are the prompt's last, so that the tokens after them are needed.

        Returns:
            The tokens that are still to be evaluated.
        """
        ahead = self._decoder.ids[self._sure :]
        right = 0
        for mine, theirs in zip(ahead, ids, strict=False):
            if mine != theirs:
                break
            right += 1
        evaluated = max(0, len(self.draft) - 1)
        if last and self.draft and right == len(ids) == len(ahead) - evaluated:
            self._sure += right
            return []
        if last and not ids and (ahead or self._lost):
            ids = self._decoder.ids[self._sure - 1 : self._sure]
            self._sure -= 1
        # The logits after the last token come from evaluating it.
        right = min(right, max(0, len(ids) - 1))
        self._sure += right
        if self.draft:
            self._before, self.draft = [token for token, _ in self.draft], []
        if self._sure < len(self._decoder.ids):
            self._decoder.keep(self._sure)
            self._lost = True
        return list(ids[right:])

    def evaluate(self, ids: Sequence[int], *, want_next: bool) -> None:
        """Append tokens that `arrive` returned; compute logits after them only if `want_next`."""
        self._decoder.evaluate(ids, want_next=want_next)
        self._sure = len(self._decoder.ids)
        self._lost = False

    def drop(self) -> None:
        """Have the next token computed after the prompt alone, as sampling wants it."""
        if len(self.draft) > 1 or self._lost:
            end = self._decoder.ids[self._sure - 1]
            self._decoder.keep(self._sure - 1)
            self._decoder.evaluate((end,))
        self.draft = []

    def _begin(self, ids: list[int]) -> bool:
        """Evaluate the prompt's end, and the draft of before as a guess of this one."""
        decoder = self._decoder
        if not ids:
            # The logits after the signal's last token were not requested.
            ids = decoder.ids[-1:]
            decoder.keep(len(decoder.ids) - 1)
        most = min(BATCH - 1, decoder.context - len(decoder.ids) - len(ids), self._most - 1)
        if most < 0:
            return False
        guess = [token for token in self._before[:most] if not self._is_end(token)]
        *head, end = ids
        room = BATCH - 1 - len(guess)
        inside = head[max(0, len(head) - room) :]
        if len(inside) < len(head):
            decoder.evaluate(head[: len(head) - len(inside)], want_next=False)
        base = len(decoder.ids) + len(inside) + 1
        likely = decoder.evaluate_all([*inside, end, *guess], outputs=1 + len(guess))
        odds = decoder.odds()
        right = 0
        while right < len(guess) and guess[right] == likely[right]:
            right += 1
        self._lost = right < len(guess)
        if self._lost:
            decoder.keep(base + right)
        self._append(likely[: right + 1], odds)
        return True

    def _append(self, tokens: Sequence[int], odds: Sequence[Odds]) -> None:
        self.draft += zip(tokens, odds, strict=False)

    def _ends_at(self, drafted: Drafted) -> bool:
        return self._is_end(drafted[0])

    def _is_end(self, token: int) -> bool:
        return token in self._ends or self._decoder.is_end(token)
