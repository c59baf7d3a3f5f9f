"""A Hugging Face directory in transformers: greedy answers, and log-probs of a given text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, GenerationConfig

from duet_training.export.divergence import log_softmax
from duet_training.verl_backend.cpu.batch import by_length
from duet_training.verl_backend.precision import has_fast_bfloat16


class HubModel:
    """A loaded model, on the GPU if there is one.

    It computes in the precision of its files; on a processor that would emulate that, in float32:
    then only what the files round is seen.
    """

    def __init__(self, directory: Path) -> None:
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        native = self._device == "cuda" or has_fast_bfloat16()
        model: Any = AutoModelForCausalLM.from_pretrained(
            directory, dtype="auto" if native else torch.float32
        )
        self._model = model.to(self._device).eval()
        self.dtype = str(self._model.dtype).removeprefix("torch.")
        # What the file says of sampling is for those who serve it.
        self._model.generation_config = GenerationConfig()

    def greedy(
        self, prompts: Sequence[list[int]], limit: int, stops: Sequence[int], batch: int
    ) -> list[list[int]]:
        """The most likely tokens, at most `limit`; one of `stops` ends a response."""
        written = by_length(
            self._model, prompts, [0] * len(prompts), 0.0, limit, list(stops), batch
        )
        return [ids for ids, _ in written]

    @torch.inference_mode()
    def log_probs(self, prompt: Sequence[int], response: Sequence[int]) -> NDArray[np.float64]:
        """Log-probs (R, V) before each of the response's R tokens."""
        ids = torch.tensor([[*prompt, *response[:-1]]], device=self._device)
        logits = self._model(input_ids=ids, logits_to_keep=len(response)).logits[0]
        return log_softmax(logits.float().cpu().numpy())
