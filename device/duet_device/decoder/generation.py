"""Generate the answer's tokens: greedily, greedily with prompt lookup, or by sampling."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import llama_cpp

from duet_device.decoder.llama import BATCH, Decoder
from duet_device.decoder.odds import Odds
from duet_device.decoder.prompt_lookup import PromptLookup


class Generation:
    """Iterates over the answer's tokens; the token that ends the answer is not among them.

    The decoder must have evaluated the prompt. Once the iteration is over, `finish` says how:
    `end` (the model ended its answer) or `limit` (the answer has `limit` tokens, or the context
    is full).

    Args:
        ends: tokens that end the answer, in addition to those that end any text of the model.
        limit: most tokens.
        temperature: 0 takes the most likely token each time.
        seed: of the sampling; None is not reproducible.
        prompt_lookup: whether to guess ahead from the prompt (greedy only).
        judge: whether to keep `trace`.
        drafted: the answer's first tokens with their odds, as `Lookahead.draft` has them: all but the
            last are evaluated already (greedy only).
        check: called before each step; what it raises ends the generation.
    """

    def __init__(
        self,
        decoder: Decoder,
        *,
        ends: frozenset[int],
        limit: int,
        temperature: float = 0.0,
        seed: int | None = None,
        prompt_lookup: bool = False,
        judge: bool = False,
        drafted: Sequence[tuple[int, Odds]] = (),
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._decoder = decoder
        self._ends = ends
        assert not drafted or temperature == 0
        prompt = len(decoder.ids) - max(0, len(drafted) - 1)
        self._drafted = drafted
        self._left = min(limit, decoder.context - prompt)
        self._temperature = temperature
        self._seed = seed
        self._check = check
        self._judge = judge
        room = prompt + self._left
        greedy = temperature == 0
        self._lookup = (
            PromptLookup(decoder.ids[:prompt], room) if prompt_lookup and greedy else None
        )
        self.finish: Literal["end", "limit"] = "limit"
        self.trace: list[Odds] = []
        """Odds of the tokens so far, the one that ended the answer included; empty unless judging."""

    @property
    def guesses(self) -> tuple[int, int]:
        """Tokens guessed, and those of them that were right."""
        return (self._lookup.guessed, self._lookup.accepted) if self._lookup else (0, 0)

    @property
    def confidence(self) -> float | None:
        """Probability of the least likely token so far, the one that ended the answer included.

        None unless it was asked to judge, and before the first token.
        """
        return min((each.probability for each in self.trace), default=None)

    def low_confidence(self, threshold: float | None) -> bool | None:
        """Return whether the answer's confidence so far is below a pair's threshold.

        None if the pair has no threshold, or `judge` is false.
        """
        if threshold is None or self.confidence is None:
            return None
        return self.confidence < threshold

    def __iter__(self) -> Iterator[int]:
        if self._temperature > 0:
            steps = self._sampled()
        elif self._lookup:
            steps = self._speculative(self._lookup)
        else:
            steps = self._greedy()
        if self._left <= 0:
            return
        for token, odds in steps:
            self.trace += odds
            if token in self._ends or self._decoder.is_end(token):
                self.finish = "end"
                return
            yield token
            self._left -= 1
            if not self._left:
                return
            self._check()

    def _odds(self) -> list[Odds]:
        """Return the odds of the likeliest token at each position of the last batch.

        None of them unless judging.
        """
        return self._decoder.odds() if self._judge else []

    def _first(self) -> Iterator[tuple[int, list[Odds]]]:
        """Yield the tokens that were drafted; the last is evaluated when the next one is wanted."""
        for token, odds in self._drafted:
            yield token, [odds] if self._judge else []
            if self._lookup:
                self._lookup.append(token)
        if self._drafted:
            self._decoder.evaluate((self._drafted[-1][0],))

    def _greedy(self) -> Iterator[tuple[int, list[Odds]]]:
        decoder = self._decoder
        yield from self._first()
        while True:
            token = decoder.most_likely()
            yield token, self._odds()[-1:]
            decoder.evaluate((token,))

    def _sampled(self) -> Iterator[tuple[int, list[Odds]]]:
        seed = llama_cpp.LLAMA_DEFAULT_SEED if self._seed is None else self._seed
        sampler: Any = llama_cpp.llama_sampler_chain_init(
            llama_cpp.llama_sampler_chain_default_params()
        )
        try:
            for step in (
                llama_cpp.llama_sampler_init_temp(self._temperature),
                llama_cpp.llama_sampler_init_dist(seed),
            ):
                llama_cpp.llama_sampler_chain_add(sampler, step)
            while True:
                token = self._decoder.sample(sampler)
                yield token, self._decoder.odds([token]) if self._judge else []
                self._decoder.evaluate((token,))
        finally:
            llama_cpp.llama_sampler_free(sampler)

    def _speculative(self, lookup: PromptLookup) -> Iterator[tuple[int, list[Odds]]]:
        decoder = self._decoder
        yield from self._first()
        token = decoder.most_likely()
        odds = self._odds()[-1:]
        while True:
            yield token, odds
            lookup.append(token)
            # Nothing is guessed beyond the limit.
            room = min(BATCH, decoder.context - len(decoder.ids), self._left) - 1
            guess = lookup.guess(room)
            began = time.perf_counter()
            if not guess:
                decoder.evaluate((token,))
                token, odds = decoder.most_likely(), self._odds()
                lookup.plain_step((time.perf_counter() - began) * 1e3)
                continue
            base = len(decoder.ids)
            likely = decoder.evaluate_all([token, *guess])
            odds = self._odds()
            right = 0
            while right < len(guess) and guess[right] == likely[right]:
                right += 1
            decoder.keep(base + 1 + right)
            lookup.guess_step((time.perf_counter() - began) * 1e3, len(guess), right)
            for index, accepted in enumerate(guess[:right]):
                yield accepted, odds[index : index + 1]
                lookup.append(accepted)
            token, odds = likely[right], odds[right : right + 1]
