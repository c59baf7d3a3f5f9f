"""Samples one token per row, independently of the other rows of the batch.

Each row draws from its own generator, seeded by its request, so that a resumed run samples
what an uninterrupted one would have. Log-probabilities are taken on the way: keeping every step's
logits, as `generate` offers, would take batch x length x vocabulary floats.
"""

from collections.abc import Sequence

import torch
from transformers import LogitsProcessor


class SeededSampler(LogitsProcessor):  # type: ignore[misc]
    """Picks tokens by the Gumbel-max rule, or the likeliest ones at temperature 0.

    `log_probs` holds a tensor (rows,) for each step since they were last taken: of the chosen
    tokens, in nats, at the sampling temperature (at 1 for temperature 0), before `top_k` and
    `top_p`.
    """

    def __init__(
        self, seeds: list[int], temperature: float, top_p: float = 1.0, top_k: int = -1
    ) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._temperature, self._top_p, self._top_k = temperature, top_p, top_k
        self.log_probs: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return scores (rows, vocabulary) with the chosen tokens at 0 and all others at -inf."""
        logits = scores.float() / (self._temperature or 1.0)
        log_probs = torch.log_softmax(logits, dim=-1)
        if self._temperature:
            size = scores.shape[-1]
            draws = [torch.empty(size).exponential_(generator=g) for g in self._generators]
            kept = likeliest(log_probs, self._top_p, self._top_k)
            chosen = (kept - torch.stack(draws).log()).argmax(dim=-1, keepdim=True)
        else:
            chosen = log_probs.argmax(dim=-1, keepdim=True)
        self.log_probs.append(log_probs.gather(-1, chosen).squeeze(-1))
        return torch.full_like(scores, float("-inf")).scatter(-1, chosen, 0.0)

    def taken(self) -> list[torch.Tensor]:
        """Return and clear the log-probs so far."""
        taken, self.log_probs = self.log_probs, []
        return taken

    def keep(self, rows: Sequence[int]) -> None:
        """Continue with only these rows, in this order; each keeps its own generator."""
        self._generators = [self._generators[row] for row in rows]


def likeliest(log_probs: torch.Tensor, top_p: float, top_k: int) -> torch.Tensor:
    """Set the log-probs (rows, vocabulary) of excluded tokens to -inf.

    The function keeps the `top_k` likeliest tokens and, of those, the fewest whose renormalized
    probabilities sum to `top_p`; in that order, as vLLM does.
    """
    if 0 < top_k < log_probs.shape[-1]:
        least = log_probs.topk(top_k, dim=-1).values[:, -1:]
        log_probs = log_probs.masked_fill(log_probs < least, float("-inf"))
    if top_p < 1:
        ascending, order = log_probs.sort(dim=-1)
        below = ascending.softmax(dim=-1).cumsum(dim=-1) <= 1 - top_p
        below[:, -1] = False  # the likeliest stays
        log_probs = log_probs.masked_fill(below.scatter(-1, order, below), float("-inf"))
    return log_probs
