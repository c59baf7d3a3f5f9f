"""A trained adapter in PEFT's files: `adapter_config.json` and `adapter_model.safetensors`."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import LoraConfig
from safetensors import SafetensorError
from safetensors.torch import save_file

from duet_contract.json_data import read_json
from duet_training.errors import CheckpointError, ExportError
from duet_training.pair.lora import adapter_only, settle_config


class AdapterShape(NamedTuple):
    """Rank and scale of an adapter: its output is multiplied by `alpha` / `rank`."""

    rank: int
    alpha: int


def adapter_shape(checkpoint: Path) -> AdapterShape:
    """Read the adapter's shape, which VERL writes next to the shards of a policy's checkpoint.

    Raises:
        CheckpointError: The file is missing.
    """
    file = checkpoint / "lora_train_meta.json"
    try:
        content = read_json(file, finite=False)
        return AdapterShape(int(content["r"]), int(content["lora_alpha"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"cannot read {file}: {error!r}") from error


def write_adapter(saved: Mapping[str, torch.Tensor], shape: AdapterShape, target: Path) -> None:
    """Write an adapter for the model that its run began with.

    `PeftModel.from_pretrained(MODEL, target)` loads it. The files do not name the model, because a
    run only knows it as a local directory.

    Args:
        saved: All weights of the checkpoint, by PEFT's names.
        shape: Shape of the adapter.
        target: The directory to write.

    Raises:
        ExportError: The adapter cannot be written, for example because the disk is full.
    """
    weights = {name: weight.contiguous() for name, weight in adapter_only(saved).items()}
    config = LoraConfig(
        r=shape.rank,
        lora_alpha=shape.alpha,
        task_type="CAUSAL_LM",
        inference_mode=True,
        **_places(weights, saved),
    )
    try:
        target.mkdir(parents=True)
        config.save_pretrained(str(target))
        settle_config(target)
        save_file(weights, target / "adapter_model.safetensors", metadata={"format": "pt"})
    except (OSError, SafetensorError) as error:
        raise ExportError(f"cannot write the adapter of {target.name}: {error}") from error


def _places(weights: Iterable[str], saved: Iterable[str]) -> dict[str, Any]:
    """Name the modules, and layers if not all, that have an adapter, in PEFT's format."""
    places: dict[str, Any] = {"target_modules": sorted({name.split(".")[-3] for name in weights})}
    layers = _layers(weights)
    if layers != _layers(saved):
        places["layers_to_transform"] = layers
    return places


def _layers(names: Iterable[str]) -> list[int]:
    found = (re.search(r"\.layers\.(\d+)\.", name) for name in names)
    return sorted({int(match[1]) for match in found if match})
