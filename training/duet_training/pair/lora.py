"""Low-rank adapters among a model's weights: PEFT's names, and the merged weights."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from duet_contract.errors import first_line
from duet_contract.json_data import read_json
from duet_training.errors import ConfigError
from duet_training.files import write_json
from duet_training.settings.run import AdapterSettings

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
    """Yield each weight of the model by its own name, W + scale B A if it has an adapter.

    The sum is a new tensor; the model's weights do not change.

    Args:
        weights: Weights by PEFT's names: W (out, in), A (rank, in), B (out, rank).
        scale: alpha / rank.
        whole: Function that collects the shards of a weight.
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
    """Return the adapter's weights by the names in PEFT's files."""
    return {
        name.replace(".default.weight", ".weight"): weight
        for name, weight in weights.items()
        if name.endswith((_LOW, _HIGH))
    }


def settle_config(directory: Path, base: str | None = None) -> None:
    """Make PEFT's `adapter_config.json` deterministic.

    PEFT writes sets in arbitrary order. `base` is the hub name of the adapter's base model.
    """
    file = directory / "adapter_config.json"
    content = read_json(file, finite=False)
    content["target_modules"].sort()
    content["base_model_name_or_path"] = base
    write_json(file, content, indent=2)


def excluded_modules(adapter: AdapterSettings) -> str | None:
    """Return a pattern of the full names of modules without an adapter; None if all have one."""
    if not adapter.first_layer:
        return None
    return rf".*\.layers\.({'|'.join(map(str, range(adapter.first_layer)))})\..*"


def check_adapter(name: str, model: Path, adapter: AdapterSettings) -> int:
    """Count the weights of an adapter on the model in a directory.

    Raises:
        ConfigError: No linear layer of the model would have one, or the initial adapter cannot be
            read or has another shape.
    """
    excluded = excluded_modules(adapter)
    try:
        trained = _trained(model, _plain(adapter.rank, excluded))
    except ValueError as error:
        raise ConfigError(
            f"lora.{name}: {model} has no linear layer for an adapter"
            + (f" from layer {adapter.first_layer} on" if excluded else "")
        ) from error
    if excluded and trained == _trained(model, _plain(adapter.rank, None)):
        raise ConfigError(f"lora.{name}.first_layer: {model} does not number its layers")
    if adapter.path:
        _check_start(name, model, adapter, adapter.path, trained)
    return sum(trained.values())


def _plain(rank: int, excluded: str | None) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=rank, target_modules="all-linear", exclude_modules=excluded, task_type="CAUSAL_LM"
    )


def _trained(model: Path, wanted: Any) -> dict[str, int]:
    """Return names and sizes of the weights that PEFT would train."""
    from peft import get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model))
        network = get_peft_model(network, wanted)
    return {n: int(w.numel()) for n, w in network.named_parameters() if w.requires_grad}


def _check_start(
    name: str, model: Path, adapter: AdapterSettings, path: Path, trained: dict[str, int]
) -> None:
    from peft import LoraConfig

    for file in ("adapter_config.json", "adapter_model.safetensors"):
        if not (path / file).is_file():
            raise ConfigError(f"lora.{name}.path: there is no {path / file}")
    try:
        found = LoraConfig.from_pretrained(str(path))
        found.inference_mode = False
        theirs = _trained(model, found)
    except Exception as error:  # PEFT raises many types for a damaged file
        raise ConfigError(
            f"lora.{name}.path: no adapter for {model} in {path}: {first_line(error)}"
        ) from error
    plain = not (found.use_rslora or found.alpha_pattern or found.lora_dropout)
    if not plain or (found.r, found.lora_alpha, theirs) != (adapter.rank, adapter.alpha, trained):
        raise ConfigError(
            f"lora.{name}.path: the adapter in {path} has rank {found.r}, alpha {found.lora_alpha} "
            f"and {sum(theirs.values())} weights; rank {adapter.rank}, alpha {adapter.alpha} and "
            f"{sum(trained.values())} weights of plain LoRA are asked for"
        )
