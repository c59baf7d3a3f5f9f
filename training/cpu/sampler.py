"""Samples one token a row, the same whatever else is in the batch.

Each row draws from a generator of its own, seeded by its request, so that a resumed run samples
what an uninterrupted one would have. Log-probabilities are taken on the way: keeping every step's
logits, as `generate` offers, would take batch x length x vocabulary floats.
"""

import torch
from transformers import LogitsProcessor


class SeededSampler(LogitsProcessor):  # type: ignore[misc]
    """Picks tokens by the Gumbel-max rule, or the likeliest ones at temperature 0.

    After generation `log_probs` holds a tensor (rows,) for each step: of the chosen tokens, in
    nats, at the sampling temperature (at 1 for temperature 0).
    """

    def __init__(self, seeds: list[int], temperature: float) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._temperature = temperature
        self.log_probs: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores (rows, vocabulary) with the chosen tokens at 0 and all others at -inf."""
        logits = scores.float() / (self._temperature or 1.0)
        log_probs = torch.log_softmax(logits, dim=-1)
        if self._temperature:
            size = scores.shape[-1]
            draws = [torch.empty(size).exponential_(generator=g) for g in self._generators]
            chosen = (log_probs - torch.stack(draws).log()).argmax(dim=-1, keepdim=True)
        else:
            chosen = log_probs.argmax(dim=-1, keepdim=True)
        self.log_probs.append(log_probs.gather(-1, chosen).squeeze(-1))
        return torch.full_like(scores, float("-inf")).scatter(-1, chosen, 0.0)
