"""SFT of a low-rank adapter on a public model.

LoRA (arXiv 2106.09685) by PEFT: the model's own weights do not change and are in bfloat16. The
adapter has a hundredth of their size, so a release can contain the adapter without the model.
Training is resumable, as in `duet_training.sft.trainer`.
"""

from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from duet_training.files import replacing
from duet_training.pair.lora import settle_config
from duet_training.sft.trainer import IGNORED, Batch, Draw, Plan, SftTrainer

# Every linear layer of a Llama or Qwen3 block.
_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Adapter:
    """An adapter's shape and base model."""

    rank: int
    """Rank of the adapter."""
    first: int
    """First layer with an adapter. Gradients need not go below it, which saves a third of the time
    for a third of the layers.
    """
    base: str
    """Hub name of the base model, for users who load the adapter."""


class AdapterTrainer(SftTrainer):
    """A model whose adapter is in training, and the whole model that training leaves."""

    def __init__(
        self,
        model: Path,
        out: Path,
        state: Path,
        plan: Plan,
        adapter: Adapter,
        target: Path,
        ends: Collection[int] = (),
    ) -> None:
        """Load the model, and the adapter as it was saved.

        `out` has PEFT's two files, `target` the whole model with the adapter merged, in bfloat16, whose
        texts end at the token ids `ends` [the base model's].
        """
        self._adapter, self._out, self._target, self._ends = adapter, out, target, ends
        super().__init__(model, state, plan)

    def train(self, draw: Draw, *, until: float, name: str = "") -> bool:
        """See `SftTrainer`; then merge, also what an earlier call saved and did not merge."""
        done = super().train(draw, until=until, name=name)
        merged = self._target / "model.safetensors"
        if self._state.is_file() and (
            not merged.is_file() or merged.stat().st_mtime_ns < self._state.stat().st_mtime_ns
        ):
            self._merge()
        return done

    def _merge(self) -> None:
        merged = self.model.merge_and_unload()
        if self._ends:
            merged.generation_config.eos_token_id = list(self._ends)
        with replacing(self._target) as scratch:
            merged.to(torch.bfloat16).save_pretrained(scratch)

    def _made(self) -> Any:
        dtype = torch.bfloat16 if self._plan.bfloat16 else torch.float32
        # For rows as short as questions, the backward pass of other kernels takes a third of the
        # time.
        model = AutoModelForCausalLM.from_pretrained(
            self._directory, dtype=dtype, attn_implementation="eager"
        )
        layers = range(self._adapter.first, model.config.num_hidden_layers)
        torch.manual_seed(self._plan.seed)
        settings = LoraConfig(
            r=self._adapter.rank,
            lora_alpha=2 * self._adapter.rank,
            target_modules=list(_LINEAR),
            layers_to_transform=list(layers),
            task_type="CAUSAL_LM",
        )
        # PEFT keeps the adapter's weights in float32, which small steps need.
        adapted = get_peft_model(model, settings)
        if self._plan.compiled:
            for layer in model.model.layers:
                layer.compile(dynamic=True)
        return adapted

    def _optimisers_of(self, plan: Plan) -> tuple[torch.optim.Optimizer, ...]:
        trained = [weight for weight in self.model.parameters() if weight.requires_grad]
        return (torch.optim.AdamW(trained, lr=plan.rate, betas=(0.9, 0.98), weight_decay=0.0),)

    def _weights(self) -> dict[str, Any]:
        kept: dict[str, Any] = get_peft_model_state_dict(self.model)
        return kept

    def _take(self, weights: dict[str, Any]) -> None:
        set_peft_model_state_dict(self.model, weights)

    def _write(self) -> None:
        with replacing(self._out) as scratch:
            self.model.save_pretrained(scratch)
            (scratch / "README.md").unlink(missing_ok=True)  # an empty model card
            settle_config(scratch, self._adapter.base)

    def _loss(self, batch: Batch) -> torch.Tensor:
        # Only trained tokens go through the head: a vocabulary of 49,152 is a fifth of this work.
        ids, labels = batch.tensors()
        wanted = labels[:, 1:].flatten()
        kept = wanted != IGNORED
        model = self.model.get_base_model()
        with torch.autocast("cpu", torch.bfloat16) if self._plan.bfloat16 else nullcontext():
            # With a cache, each layer would be compiled on its own.
            hidden = model.model(ids, use_cache=False).last_hidden_state[:, :-1].flatten(0, 1)
            logits = model.lm_head(hidden[kept])
        return cross_entropy(logits.float(), wanted[kept])
