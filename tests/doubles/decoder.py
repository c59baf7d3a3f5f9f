"""A decoder without a model: bytes are its tokens, and a function says what follows."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from duet_device.decoder.odds import Odds

END = 256
SIZE = 257


class ScriptedDecoder:
    """`duet_device.decoder.llama.Decoder`'s interface over bytes; token 256 (`<|end|>`) ends a text.

    `follows`: given the sequence, the most likely next token. `evaluations`: the sequence's length
    before each batch, and the batch's; `sure`: how probable what follows a sequence is.
    """

    def __init__(
        self,
        follows: Callable[[Sequence[int]], int],
        sure: Callable[[Sequence[int]], float] = lambda _: 1.0,
    ) -> None:
        self.ids: list[int] = []
        self.context = 0
        self.evaluations: list[tuple[int, int]] = []
        self.closed = False
        self.follows, self.sure = follows, sure
        self._odds: list[Odds] = []
        self.rolls_back = True

    def encode_template(self, text: str) -> list[int]:
        parts = text.split("<|end|>")
        ids = list(parts[0].encode())
        for part in parts[1:]:
            ids += [END, *part.encode()]
        return ids

    def encode_text(self, text: str) -> list[int]:
        return list(text.encode())

    def detokenize(self, token: int, *, special: bool = False) -> bytes:
        if token == END:
            return b"<|end|>" if special else b""
        return bytes([token])

    def is_end(self, token: int) -> bool:
        return token == END

    def reserve(self, tokens: int) -> None:
        self.context = max(self.context, tokens)

    def evaluate(
        self,
        ids: Sequence[int],
        *,
        want_next: bool = True,
        check: Callable[[], None] | None = None,
    ) -> None:
        if check:
            check()
        assert len(self.ids) + len(ids) <= self.context
        self.evaluations.append((len(self.ids), len(ids)))
        self.ids += ids
        self._odds = [likely(self.sure(self.ids))] if want_next else []

    def evaluate_all(self, ids: Sequence[int], outputs: int | None = None) -> list[int]:
        base = len(self.ids)
        self.evaluate(ids)
        first = 0 if outputs is None else len(ids) - outputs
        prefixes = [self.ids[: base + i + 1] for i in range(first, len(ids))]
        self._odds = [likely(self.sure(prefix)) for prefix in prefixes]
        return [self.follows(prefix) for prefix in prefixes]

    def odds(self, tokens: Sequence[int] | None = None) -> list[Odds]:
        assert tokens is None or len(tokens) == len(self._odds)
        return self._odds

    def sample(self, _: object) -> int:
        """Whatever the sampler, what is most likely."""
        return self.most_likely()

    def state(self) -> NDArray[np.float32]:
        """The length of the sequence, and its last token."""
        return np.asarray([len(self.ids), self.ids[-1]], np.float32)

    def become(self, ids: Sequence[int], check: Callable[[], None] | None = None) -> None:
        self.ids = []
        self.evaluate(ids, check=check)

    def keep(self, count: int) -> None:
        if count < len(self.ids):
            self._odds = []
        del self.ids[count:]

    def most_likely(self) -> int:
        assert self._odds, "the last evaluation did not ask for the next token"
        return self.follows(self.ids)

    def close(self) -> None:
        self.closed = True


def likely(probability: float) -> Odds:
    """Of a token with a probability, where one other token has the rest."""
    rest = 1.0 - probability
    entropy = -sum(share * math.log(share) for share in (probability, rest) if share)
    return Odds(math.log(probability), probability - rest, entropy)


def answering(text: str, prompt: str) -> Callable[[Sequence[int]], int]:
    """What follows, for a decoder that answers `text` behind any sequence that ends in `prompt`."""
    data, end = text.encode(), prompt.encode()

    def follows(ids: Sequence[int]) -> int:
        sequence = bytes(token for token in ids if token < END)
        start = sequence.rfind(end) + len(end)
        written = len(sequence) - start
        return data[written] if written < len(data) else END

    return follows
