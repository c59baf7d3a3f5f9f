"""A batch of prompts through Hugging Face `generate`, without waiting for its longest response.

On a CPU the cost of a step is proportional to its rows, and `generate` continues with all rows
until the last one has ended. This module stops it when enough rows have ended, and continues with
the others.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from duet_training.verl_backend.cpu.sampler import SeededSampler

# Share of ended rows at which the other rows continue alone.
ENDED = 0.25


class _EnoughEnded(StoppingCriteria):  # type: ignore[misc]
    """Ends a pass of `generate` for every row when a share of them has drawn a stop token."""

    def __init__(self, rows: int, stops: torch.Tensor) -> None:
        self._ended, self._stops = torch.zeros(rows, dtype=torch.bool, device=stops.device), stops

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        self._ended |= torch.isin(input_ids[:, -1], self._stops)
        enough = int(self._ended.sum()) >= ENDED * len(self._ended)
        return torch.full_like(self._ended, enough)


@torch.inference_mode()
def respond(
    model: Any,
    prompts: Sequence[list[int]],
    sampler: SeededSampler,
    limit: int,
    stops: list[int],
) -> list[tuple[list[int], list[float]]]:
    """Generate each prompt's response, at most `limit` tokens, and their log-probs in nats.

    A response ends with one of `stops` unless the limit truncates it. `sampler` has a row for each
    prompt.
    """
    width = max(map(len, prompts))
    device = model.device
    ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts], device=device)
    masks = [[0] * (width - len(p)) + [1] * len(p) for p in prompts]
    shown = torch.tensor(masks, device=device)
    ends, cache = torch.tensor(stops, device=device), DynamicCache(config=model.config)
    responses: list[tuple[list[int], list[float]]] = [([], []) for _ in prompts]
    going = list(range(len(prompts)))
    while going:
        before = ids.shape[1]
        ids = model.generate(
            input_ids=ids,
            attention_mask=shown,
            past_key_values=cache,
            max_new_tokens=width + limit - before,
            do_sample=False,
            logits_processor=LogitsProcessorList([sampler]),
            stopping_criteria=StoppingCriteriaList([_EnoughEnded(len(going), ends)]),
            eos_token_id=stops,
            pad_token_id=stops[0],
        )
        drawn, log_probs = ids[:, before:], torch.stack(sampler.taken(), dim=1)
        left = []
        for place, row in enumerate(going):
            ended = torch.isin(drawn[place], ends).nonzero()
            count = int(ended[0]) + 1 if len(ended) else drawn.shape[1]
            responses[row][0].extend(drawn[place, :count].tolist())
            responses[row][1].extend(log_probs[place, :count].tolist())
            if not len(ended) and ids.shape[1] < width + limit:
                left.append(place)
        if left:
            rows = torch.tensor(left, device=device)
            cache.batch_select_indices(rows)
            sampler.keep(left)
            ids = ids[rows]
            shown = torch.cat([shown, shown.new_ones(len(shown), drawn.shape[1])], dim=1)[rows]
        going = [going[place] for place in left]
    return responses


def by_length(
    model: Any,
    prompts: Sequence[list[int]],
    seeds: Sequence[int],
    temperature: float,
    limit: int,
    stops: list[int],
    rows: int,
) -> list[tuple[list[int], list[float]]]:
    """Responses in the order of the prompts, in batches of `rows` of similar length."""
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    found: dict[int, tuple[list[int], list[float]]] = {}
    for start in range(0, len(order), rows):
        chosen = order[start : start + rows]
        sampler = SeededSampler([seeds[place] for place in chosen], temperature)
        asked = [prompts[place] for place in chosen]
        found |= zip(chosen, respond(model, asked, sampler, limit, stops), strict=True)
    return [found[place] for place in range(len(prompts))]
