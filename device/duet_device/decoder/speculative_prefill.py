"""Predict the signal's next tokens while the cloud still computes them.

Reasoner and decoder often agree on what comes next. While it waits, the decoder continues the
signal by itself, a token at a time; when the chunk arrives, what was guessed right is evaluated
already. The answer then starts sooner, but the device computes while it would otherwise be idle:
a guess costs a decoding step, evaluating a known token costs a fraction of one.
"""

from collections.abc import Sequence

from duet_device.decoder.llama import Decoder

# Guesses ahead of what has arrived; chunks are rarely longer.
_MOST = 32


class SpeculativePrefill:
    """The decoder's sequence, of which the end may be guessed.

    `most`: guesses ahead at a time; 0 for none, None for as many as help.
    """

    def __init__(self, decoder: Decoder, most: int | None = None) -> None:
        self._decoder = decoder
        self._most = _MOST if most is None else most
        self._sure = len(decoder.ids)
        # Whether the logits after the sequence are available.
        self._odds = True

    def guess(self) -> bool:
        """Predict one more token if that can save time; return whether it did."""
        decoder = self._decoder
        length = len(decoder.ids)
        if not self._odds or length - self._sure >= self._most or length >= decoder.context:
            return False
        token = decoder.most_likely()
        if decoder.is_end(token):
            return False
        decoder.evaluate((token,))
        return True

    def arrive(self, ids: Sequence[int], *, last: bool = False) -> list[int]:
        """Take up tokens that have arrived.

        Args:
            ids: the tokens; they follow all that arrived before.
            last: whether these are the prompt's last, so that the logits after them are needed.

        Returns:
            The tokens that are still to be evaluated.
        """
        guessed = self._decoder.ids[self._sure :]
        right = 0
        for mine, theirs in zip(guessed, ids, strict=False):
            if mine != theirs:
                break
            right += 1
        if last:
            # The logits after the last token come from evaluating it.
            right = min(right, max(0, len(ids) - 1))
        self._sure += right
        if last and not ids and guessed:
            # Nothing follows what was guessed behind, so that the odds before it are wanted again.
            ids = self._decoder.ids[self._sure - 1 : self._sure]
            self._sure -= 1
        if right < len(ids):
            if right < len(guessed):
                self._decoder.keep(self._sure)
            self._odds = False
        return list(ids[right:])

    def evaluate(self, ids: Sequence[int], *, want_next: bool) -> None:
        """Append tokens that `arrive` returned; compute logits after them only if `want_next`."""
        self._decoder.evaluate(ids, want_next=want_next)
        self._sure = len(self._decoder.ids)
        self._odds = want_next
