"""The settings that a checkpoint is bound to: a run that resumes with others would be another run."""

from collections.abc import Sequence
from typing import Any

from duet_training.settings.hardware import Hardware
from duet_training.settings.run import Settings

# Last parts of VERL's settings that place a run on its devices, and may change as it resumes: what
# is in memory, how much of it, and how much a pass holds.
_PLACING = {
    "device",
    "disable_log_stats",
    "enable_chunked_prefill",
    "enable_gradient_checkpointing",
    "enable_prefix_caching",
    "enable_sleep_mode",
    "enforce_eager",
    "forward_only",
    "free_cache_engine",
    "gpu_memory_utilization",
    "load_format",
    "log_prob_max_token_len_per_gpu",
    "max_num_batched_tokens",
    "max_num_seqs",
    "optimizer_offload",
    "param_offload",
    "ppo_max_token_len_per_gpu",
    "reshard_after_forward",
    "update_weights_bucket_megabytes",
    "use_torch_compile",
}

# Settings of the objective that checkpoints leave out at these values: those of runs with the
# released code's choices are without them.
_LATER = {"reward": "sampled", "read": "whole", "loss_aggregation": "token-mean"}


def binding(settings: Settings) -> dict[str, Any]:
    """Return the settings that a checkpoint is bound to: a change makes another run."""
    kept = {"method", "pair", "seed", "temperature", "top_p", "top_k", "data", "batch"}
    kept |= {"tokens", "learning_rate", "objective", settings.method}
    values = settings.model_dump(mode="json", by_alias=True)
    bound = {key: values[key] for key in sorted(kept & values.keys())}
    del bound["data"]["validation"]
    if settings.data.verifier == "rows":
        del bound["data"]["verifier"]
    objective = bound["objective"]
    for key, usual in _LATER.items():
        if objective[key] == usual:
            del objective[key]
    if settings.objective.reward == "sampled":
        del objective["dense_answer"]
    if settings.objective.loss_aggregation != "micro-batch-token-mean":
        del objective["micro_batch"]
    if settings.verl:
        bound["verl"] = list(settings.verl)
    # Omitted if all weights are trained: checkpoints of such runs do not have this key.
    trained = [name for name in settings.policies if settings.lora.of(name).rank]
    if adapters := {name: values["lora"][name] for name in trained}:
        bound["lora"] = adapters
    for policy in settings.policies:
        bound[f"{policy}_devices"] = settings.hardware.ranks_of(policy)
    bound["hardware"] = _of_hardware(settings.hardware)
    return bound


def _of_hardware(hardware: Hardware) -> dict[str, Any]:
    """Return what a run's results depend on, overrides of VERL by their key.

    Threads, devices' memory and the tokens of a pass change no more than the rounding: VERL divides
    losses by the whole mini-batch, and micro-batches of `objective.loss_aggregation` are the
    objective's. Ranks are bound for each policy.
    """
    return {
        "verl": _changing(hardware.verl),
        "reasoner": _changing(hardware.reasoner),
        "decoder": _changing(hardware.decoder),
        "platform": hardware.platform,
        "seeded_requests": hardware.seeded_requests,
    }


def _changing(overrides: Sequence[str]) -> dict[str, str]:
    """Return overrides that change results, by their key; of two with one key, the last."""
    pairs = (override.lstrip("+").partition("=") for override in overrides)
    return {key: value for key, _, value in pairs if key.rpartition(".")[2] not in _PLACING}
