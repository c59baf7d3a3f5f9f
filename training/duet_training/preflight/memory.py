"""Estimate of a run's GPU memory on one device in each phase of a step, in GiB.

The estimate uses no device: shapes come from the models' config.json, the rest from the settings.

    masters      4 P / n      float32 weights, sharded over n ranks (FSDP)
    moments      8 P / n      Adam, from the first update on
    gradients    4 P / n      float32, while a model is updated
    all-gathered 2 (P_layer * 2 + P_embeddings)      bfloat16 weights of two layers and the root
    kept         2 T H L      inputs of L layers, gradient checkpointing, T tokens
    layer        2 T (4 I + 2 H + 2 (Q + 2 KV))      one layer's activations, recomputed
    logits       2 T V        bfloat16; their gradient is written in place by flash-attn
    cache        4 L KV       bytes a token: keys and values of L layers in bfloat16
    unfreed      max of the decoder's log-probs and update, without what is resident

PyTorch keeps blocks for a process that no longer uses them. Unless `hardware.empty_cache` frees
them, the decoder's trainer, which learns first, holds them until its servers' next weights: while
the reasoner learns, and while the reasoner's servers are awake in the next step.

With an adapter of rank r, masters are of P + A weights, moments and gradients of A alone:

    A = r L' (2 (H + Q) + 2 (H + KV) + 3 (H + I))      on the linear layers of L' of the layers
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from duet_contract.json_data import read_json
from duet_report.tables import markdown
from duet_training.errors import ConfigError
from duet_training.settings.run import Settings

GIB = 2**30
# Of one process on a device: CUDA context, cuBLAS and NCCL buffers, allocator slack. Assumed.
CONTEXT = 1.0
# Of a resting vLLM server: context, captured graphs, what sleep does not give back. Assumed.
RESTING = 2.0


@dataclass(frozen=True)
class ModelShape:
    """Shape of a decoder-only transformer with gated MLP and grouped keys, as Qwen3 or Llama."""

    parameters: int
    """Number of all weights."""
    layers: int
    """Number of layers."""
    hidden: int
    """Width of the hidden state."""
    intermediate: int
    """Width of the MLP."""
    queries: int
    """Query heads times head dimension."""
    keys: int
    """Key heads times head dimension."""
    vocabulary: int
    """Number of tokens in the vocabulary."""

    def adapter(self, rank: int, first_layer: int = 0) -> int:
        """Weights of an adapter of `rank` on every linear layer from `first_layer` on."""
        attention = 2 * (self.hidden + self.queries) + 2 * (self.hidden + self.keys)
        sides = attention + 3 * (self.hidden + self.intermediate)
        return rank * max(0, self.layers - first_layer) * sides

    @property
    def cache_bytes(self) -> int:
        """Bytes of KV cache for one token, bfloat16."""
        return 4 * self.layers * self.keys


@dataclass(frozen=True)
class Engine:
    """How one model is trained and served on each of its devices."""

    shape: ModelShape
    """Shape of the model."""
    ranks: int
    """Number of devices."""
    longest: int
    """Tokens of a micro-batch in training."""
    read: int
    """Tokens of a micro-batch whose log-probs are computed without training."""
    served: float
    """Share of the device that the model's server uses while awake."""
    offload_parameters: bool = False
    """Whether idle parameters are in host memory."""
    offload_optimizer: bool = False
    """Whether the idle optimizer's state is in host memory."""
    bucket: float = 2.0
    """GiB of a buffer that carries weights to the server."""
    adapter: int = 0
    """Weights of the adapter, if only the adapter is trained; 0 if all weights are trained."""


def shape_of(model: Path) -> ModelShape:
    """Read the shape of the model in a directory from its config.json.

    Raises:
        ConfigError: The config.json is unreadable or not of such a model.
    """
    try:
        config: dict[str, Any] = read_json((model / "config.json"), finite=False)
        heads = int(config["num_attention_heads"])
        hidden, layers = int(config["hidden_size"]), int(config["num_hidden_layers"])
        head = int(config.get("head_dim") or hidden // heads)
        intermediate, vocabulary = int(config["intermediate_size"]), int(config["vocab_size"])
        keys = int(config.get("num_key_value_heads") or heads) * head
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"cannot read the shape of {model}: {error!r}") from error
    queries = heads * head
    # Norms are left out: some thousandths of a percent.
    layer = hidden * (2 * queries + 2 * keys) + 3 * hidden * intermediate
    embeddings = vocabulary * hidden * (1 if config.get("tie_word_embeddings") else 2)
    return ModelShape(
        layers * layer + embeddings, layers, hidden, intermediate, queries, keys, vocabulary
    )


def resident(engine: Engine, *, updating: bool) -> dict[str, float]:
    """Estimate a trained model's resident memory; it is larger while `updating`."""
    held = (engine.shape.parameters + engine.adapter) / engine.ranks / GIB
    trained = (engine.adapter or engine.shape.parameters) / engine.ranks / GIB
    parts = {}
    if updating or not engine.offload_parameters:
        parts["masters"] = 4 * held
    if updating or not engine.offload_optimizer:
        parts["moments"] = 8 * trained
    if updating:
        parts["gradients"] = 4 * trained
    return parts


def adapter_sizes(settings: Settings, shapes: Mapping[str, ModelShape]) -> dict[str, int]:
    """Count the weights of each policy's adapter; 0 if all weights are trained."""
    chosen = {name: settings.lora.of(name) for name in shapes}
    return {
        name: shape.adapter(chosen[name].rank, chosen[name].first_layer)
        for name, shape in shapes.items()
    }


def activations(engine: Engine) -> dict[str, float]:
    """Estimate the additional memory of one forward and backward pass over `longest` tokens."""
    shape, tokens = engine.shape, engine.longest
    embeddings = shape.vocabulary * shape.hidden
    layer = max(0, shape.parameters - embeddings) / shape.layers
    inner = 4 * shape.intermediate + 2 * shape.hidden + 2 * (shape.queries + 2 * shape.keys)
    return {
        "all-gathered": 2 * (2 * layer + embeddings) / GIB,
        "kept": 2 * tokens * shape.hidden * shape.layers / GIB,
        "layer": 2 * tokens * inner / GIB,
        "logits": 2 * tokens * shape.vocabulary / GIB,
    }


def read_activations(engine: Engine) -> dict[str, float]:
    """Estimate the additional memory of log-probs without gradients."""
    read = activations(replace(engine, longest=engine.read))
    read.pop("kept")  # nothing is kept for a backward pass
    return read


def unfreed(engine: Engine) -> float:
    """Estimate what the trainer's process keeps cached after log-probs and an update."""
    gradients = resident(engine, updating=True)["gradients"]
    learning = gradients + sum(activations(engine).values())
    return max(learning, sum(read_activations(engine).values()))


def phases(
    engines: Mapping[str, Engine], device: float, *, shared: bool, empty_cache: bool = True
) -> dict[str, dict[str, float]]:
    """Estimate GiB by part for each phase of a step on one device of `device` GiB.

    `engines` has the keys "reasoner" and "decoder". If devices are `shared`, each holds both.
    Without `empty_cache` trainers keep their cached blocks (`Hardware.empty_cache`).
    """
    found = {}
    for name, engine in engines.items():
        here = dict(engines) if shared else {name: engine}
        quiet: dict[str, float] = {}
        for other, its in here.items():
            for part, size in resident(its, updating=False).items():
                quiet[f"{other}'s {part}"] = size
        if name == "reasoner" and "decoder" in here and not empty_cache:
            quiet["decoder's unfreed"] = unfreed(here["decoder"])
        others = len(here) - 1
        processes = CONTEXT * len(here)
        found[f"{name} generates"] = {
            **quiet,
            "awake server": engine.served * device,
            "resting server": RESTING * others,
            "contexts": processes,
        }
        weights = 2 * engine.shape.parameters / GIB
        found[f"{name}'s weights to its server"] = {
            **quiet,
            "served weights": weights,
            "buckets": 2 * engine.bucket,
            "resting server": RESTING * (others + 1),
            "contexts": processes,
        }
        update = {k: v for k, v in quiet.items() if not k.startswith(f"{name}'s")}
        own = {**resident(engine, updating=True), **activations(engine)}
        read = read_activations(engine)
        found[f"{name}'s log-probs"] = {
            **quiet,
            **{f"{name}'s {part}": size for part, size in read.items()},
            "resting server": RESTING * (others + 1),
            "contexts": processes,
        }
        found[f"{name} learns"] = {
            **update,
            **{f"{name}'s {part}": size for part, size in own.items()},
            "resting server": RESTING * (others + 1),
            "contexts": processes,
        }
    return found


def cached_tokens(engine: Engine, device: float) -> int:
    """Compute how many tokens fit the KV cache of one awake server of `engine`."""
    weights = 2 * engine.shape.parameters / GIB
    free = engine.served * device - weights - RESTING
    return max(0, math.floor(free * GIB / engine.shape.cache_bytes))


def memory_table(found: Mapping[str, Mapping[str, float]], device: float) -> list[str]:
    """Write a Markdown table: phase, GiB of `device`, and the parts of at least 0.1 GiB."""
    rows = []
    for phase, parts in found.items():
        named = ", ".join(f"{part} {size:.1f}" for part, size in parts.items() if size >= 0.05)
        rows.append([phase, f"{sum(parts.values()):.1f}", named])
    return markdown(["phase", f"GiB of {device:g}", "parts"], rows).splitlines()


def engine_of(config: Any, shape: ModelShape, ranks: int, adapter: int = 0) -> Engine:
    """Make an `Engine` from VERL's configuration of a policy (see `verl_backend.config`)."""
    part = config.actor_rollout_ref
    return Engine(
        shape,
        ranks,
        longest=part.actor.ppo_max_token_len_per_gpu,
        read=part.rollout.log_prob_max_token_len_per_gpu,
        served=part.rollout.gpu_memory_utilization,
        offload_parameters=part.actor.fsdp_config.param_offload,
        offload_optimizer=part.actor.fsdp_config.optimizer_offload,
        bucket=part.rollout.checkpoint_engine.update_weights_bucket_megabytes / 1024,
        adapter=adapter,
    )
