"""VERL's FSDP2 engine for a model with an adapter.

VERL's own rounds merged weights to bfloat16 on their way to the rollout servers, and to make them
adds the adapter to the model's weights in place, with a copy of all of them to go back to. Here
each is made as it is sent, in the trainer's precision, as weights without an adapter are.
"""

import os
from collections.abc import Iterator
from typing import Any

import torch
from torch.distributed.tensor import DTensor
from verl.utils.device import get_device_id
from verl.workers.engine.base import EngineRegistry
from verl.workers.engine.fsdp import FSDPEngineWithLMHead
from verl.workers.engine.fsdp.utils import unfuse_moe_params

from duet_training.pair.lora import merged

# VERL finds engines by device and vendor; this takes the vendor's place.
_VENDOR = "duet"


@EngineRegistry.register(
    model_type="language_model", backend="fsdp2", device="cuda", vendor=_VENDOR
)
class MergingEngine(FSDPEngineWithLMHead):  # type: ignore[misc]
    """Trains an adapter alone; what it gives to the servers are whole weights."""

    def get_per_tensor_param(
        self, **_: Any
    ) -> tuple[Iterator[tuple[str, torch.Tensor]], dict[str, Any] | None]:
        """See VERL's `BaseEngine`. Every rank takes part in gathering the shards."""
        scale = self.model_config.lora_alpha / self.model_config.lora_rank
        weights = merged(self.module.state_dict(), scale, _whole)
        return unfuse_moe_params(weights, self.model_config.hf_config.model_type), None

    def _build_lora_module(self, module: Any) -> Any:
        """See VERL's engine, which lets gradients flow down to the embeddings.

        Only checkpointing by reentrance, which it does not use, needs that; otherwise they end at
        the lowest layer that has an adapter.
        """
        module.enable_input_require_grads = lambda: None  # PEFT calls it, too
        return super()._build_lora_module(module)


def _whole(weight: torch.Tensor) -> torch.Tensor:
    if not isinstance(weight, DTensor):
        return weight.detach()
    here: Any = weight.detach().to(get_device_id(), non_blocking=True)
    full: torch.Tensor = here.full_tensor()
    return full


def use() -> None:
    """Make VERL choose this engine in this process."""
    os.environ["VERL_ENGINE_VENDOR"] = _VENDOR
