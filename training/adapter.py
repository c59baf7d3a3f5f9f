"""Low-rank adapters among a model's weights: PEFT's names, and the weights that they amount to."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from training.errors import ConfigError
from training.settings import Adapter

_PREFIX = "base_model.model."
_BASE = ".base_layer.weight"
_LOW, _HIGH = ".lora_A.default.weight", ".lora_B.default.weight"


def has_adapter(names: Iterable[str]) -> bool:
    """Whether weights of these names are a model's with an adapter."""
    return any(name.endswith(_LOW) for name in names)


def merged(
    weights: Mapping[str, Any],
    scale: float,
    whole: Callable[[Any], torch.Tensor] = lambda weight: weight,
) -> Iterator[tuple[str, torch.Tensor]]:
    """Each weight of the model by its own name, W + scale B A where it has an adapter.

    The sum is a new tensor: the model's weights stay as they are.

    Args:
        weights: by PEFT's names: W (out, in), A (rank, in), B (out, rank).
        scale: alpha / rank.
        whole: gathers a weight that is sharded.
    """
    for name, weight in weights.items():
        if name.endswith((_LOW, _HIGH)):
            continue
        full, module = whole(weight), name.removesuffix(_BASE)
        if module + _LOW in weights:
            # In this order: PEFT's own merge gives the same bits.
            full = full + whole(weights[module + _HIGH]) @ whole(weights[module + _LOW]) * scale
        yield name.removeprefix(_PREFIX).replace(".base_layer.", "."), full


def adapter_only(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The adapter's weights by the names that PEFT's files have."""
    return {
        name.replace(".default.weight", ".weight"): weight
        for name, weight in weights.items()
        if name.endswith((_LOW, _HIGH))
    }


def excluded_modules(adapter: Adapter) -> str | None:
    """The modules that have no adapter, as a pattern of whole names; None if all have one."""
    if not adapter.first_layer:
        return None
    return rf".*\.layers\.({'|'.join(map(str, range(adapter.first_layer)))})\..*"


def check_adapter(name: str, model: Path, adapter: Adapter) -> int:
    """How many weights an adapter on the model in a directory has.

    Raises:
        ConfigError: no linear layer of the model would have one.
    """
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    excluded = excluded_modules(adapter)
    wanted = LoraConfig(
        r=adapter.rank,
        target_modules="all-linear",
        exclude_modules=excluded,
        task_type="CAUSAL_LM",
    )
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model))
        modules = [module for module, _ in network.named_modules()]
        if excluded and not any(re.fullmatch(excluded, module) for module in modules):
            raise ConfigError(f"lora.{name}.first_layer: {model} does not number its layers")
        try:
            network = get_peft_model(network, wanted)
        except ValueError as error:
            raise ConfigError(
                f"lora.{name}: {model} has no linear layer for an adapter"
                + (f" from layer {adapter.first_layer} on" if excluded else "")
            ) from error
    return sum(int(weight.numel()) for weight in network.parameters() if weight.requires_grad)
