"""A policy's checkpoint as a Hugging Face directory: VERL's shards merged, nothing rounded.

A trained adapter is written in PEFT's files, too: `adapter_config.json` and
`adapter_model.safetensors`.
"""

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import LoraConfig
from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers import AutoConfig, GenerationConfig
from transformers.utils import logging as hub_logging

from duet_contract.json_data import read_json
from duet_training.errors import CheckpointError, ExportError, last_line
from duet_training.pair.description import empty_model
from duet_training.pair.lora import adapter_only, has_adapter, merged, settle_config
from duet_training.verl_backend.shards import Weights, saved_weights


class AdapterShape(NamedTuple):
    """Rank and scale of an adapter: its output is multiplied by `alpha` / `rank`."""

    rank: int
    """Rank of the adapter."""
    alpha: int
    """Numerator of its scale."""


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
    """Write the adapter among a checkpoint's weights for the model that its run began with.

    `PeftModel.from_pretrained(MODEL, target)` loads it. The files do not name the model, because a
    run only knows it as a local directory.

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


hub_logging.disable_progress_bar()

# Files of a model's directory in addition to weights and `config.json`.
TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "chat_template.jinja", "chat_template.json", "*.model"),
)


def merge_shards(checkpoint: Path, model: Path, adapter: Path | None = None) -> Weights:
    """Merge all weights of a policy's checkpoint, an adapter added, in the precision that they have.

    `model` is the directory of the trained model. An adapter is also written to the directory `adapter`.

    Raises:
        CheckpointError: Shards are missing or damaged, or have another architecture.
        ExportError: The adapter cannot be written.
    """
    try:
        weights = saved_weights(checkpoint, model)
    except Exception as error:  # torch raises many types for a damaged file
        raise CheckpointError(
            f"cannot merge the shards in {checkpoint}: {last_line(error)}"
        ) from error
    if has_adapter(weights):
        shape = adapter_shape(checkpoint)
        if adapter:
            write_adapter(weights, shape, adapter)
        weights = dict(merged(weights, shape.alpha / shape.rank))
    _check_architecture(weights, checkpoint, model)
    return weights


def _check_architecture(weights: Weights, checkpoint: Path, model: Path) -> None:
    wanted = {name: tuple(w.shape) for name, w in empty_model(model).state_dict().items()}
    found = {name: tuple(weight.shape) for name, weight in weights.items()}
    # A tied output layer need not have been saved.
    optional = {n for n in wanted if n.endswith("lm_head.weight")} if _is_tied(model) else set()
    wrong = [
        f"{name} is {found.get(name, 'missing')} there and {wanted.get(name, 'unknown')} here"
        for name in sorted(wanted.keys() | found.keys())
        if found.get(name) != wanted.get(name) and not (name in optional and name not in found)
    ]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise CheckpointError(
            f"{checkpoint} is of another architecture than {model}: {wrong[0]}{more}"
        )


def _is_tied(model: Path) -> bool:
    return bool(getattr(AutoConfig.from_pretrained(model), "tie_word_embeddings", False))


def write_model(
    weights: Weights, model: Path, target: Path, dtype: str | None, end_tokens: list[int]
) -> None:
    """Write weights, config, tokenizer and end tokens as a directory for transformers and vLLM.

    `model` is the directory of the trained model, `dtype` torch's name (None: the weights' own), and
    `end_tokens` end a text in addition to the model's own.

    Raises:
        ExportError: The directory cannot be written, for example because the disk is full.
    """
    network = empty_model(model)
    converted = {n: w.to(getattr(torch, dtype)) if dtype else w for n, w in weights.items()}
    network.load_state_dict(converted, strict=False, assign=True)
    network.tie_weights()
    network.generation_config = _generation(model, end_tokens)
    try:
        network.save_pretrained(target)
        for pattern in TOKENIZER_FILES:
            for file in model.glob(pattern):
                shutil.copyfile(file, target / file.name)
    except (OSError, SafetensorError) as error:
        raise ExportError(f"cannot write {target.name}: {error}") from error


def _generation(model: Path, end_tokens: list[int]) -> GenerationConfig:
    if (model / "generation_config.json").is_file():
        config = GenerationConfig.from_pretrained(model)
    else:
        config = GenerationConfig.from_model_config(AutoConfig.from_pretrained(model))
    own = config.eos_token_id
    ends = [] if own is None else [own] if isinstance(own, int) else list(own)
    config.eos_token_id = list(dict.fromkeys([*ends, *end_tokens]))
    return config
