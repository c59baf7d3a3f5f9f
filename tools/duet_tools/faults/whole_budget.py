"""A logits processor of vLLM's, with which every signal has the length of its budget.

    duet-cloud serve --logits-processors duet_tools.faults.whole_budget:NoControlTokens

vLLM imports it in the process of the engine's core. Nothing else of the service changes.
"""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from vllm.v1.sample.logits_processor import LogitsProcessor


class NoControlTokens(LogitsProcessor):  # type: ignore[misc]
    """Leaves the engine no control token to choose, and so no end."""

    def __init__(self, vllm_config: Any, device: torch.device, _is_pin_memory: bool) -> None:
        """Read the ids from the model's tokenizer."""
        tokenizer = Tokenizer.from_file(str(Path(vllm_config.model_config.model, "tokenizer.json")))
        self._ids = torch.tensor(sorted(tokenizer.get_added_tokens_decoder()), device=device)

    def is_argmax_invariant(self) -> bool:
        """See `LogitsProcessor`."""
        return False

    def update_state(self, _batch_update: Any) -> None:
        """See `LogitsProcessor`."""

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """See `LogitsProcessor`."""
        return logits.index_fill_(1, self._ids, float("-inf"))
