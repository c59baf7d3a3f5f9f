"""VERL's own configuration for one policy, from the settings of a run.

Its YAML refers to itself by absolute names, so it is composed once per policy, not nested.
"""

from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from duet_training.errors import ConfigError
from duet_training.pair.lora import excluded_modules
from duet_training.rl.objective.aggregation import LossAggregation, verl_mode
from duet_training.settings.run import AdapterSettings, Settings

# Replicas of the second policy count from here, so that no name is taken twice.
FIRST_REPLICA = {"reasoner": 0, "decoder": 1000}


def _adapter(adapter: AdapterSettings) -> list[str]:
    """VERL's settings of an adapter; none without one."""
    if not adapter.rank:
        return []
    found = [
        f"actor_rollout_ref.model.lora_rank={adapter.rank}",
        f"actor_rollout_ref.model.lora_alpha={adapter.alpha}",
        "actor_rollout_ref.model.target_modules=all-linear",
        # Servers get whole weights, the adapter added (`duet_training.verl_backend.merging_engine`): then they are
        # vLLM's or the CPU's as without an adapter, and generate what will be served.
        "actor_rollout_ref.model.lora.merge=true",
    ]
    if adapter.path:
        # A worker's working directory is its own.
        found.append(f"actor_rollout_ref.model.lora_adapter_path='{adapter.path.absolute()}'")
    if excluded := excluded_modules(adapter):
        found.append(f"actor_rollout_ref.model.exclude_modules='{excluded}'")
    return found


def _aggregation(mode: LossAggregation, longest: int) -> list[str]:
    """VERL's settings of how token losses become one loss; `longest`: limit of a response."""
    found = [f"actor_rollout_ref.actor.loss_agg_mode={verl_mode(mode)}"]
    if mode == "seq-mean-token-sum-norm":
        # VERL would divide by the longest response of each micro-batch.
        found.append(f"actor_rollout_ref.actor.loss_scale_factor={longest}")
    return found


def _fit_passes(part: Any, longest: int) -> None:
    """Give each kind of pass room for the longest sequence.

    VERL fails in the step that has a sequence longer than a pass, which may be the hundredth.
    """
    room = -(-longest // part.actor.ulysses_sequence_parallel_size)
    part.actor.ppo_max_token_len_per_gpu = max(part.actor.ppo_max_token_len_per_gpu, room)
    for place in (part.rollout, part.ref):
        place.log_prob_max_token_len_per_gpu = max(place.log_prob_max_token_len_per_gpu, room)


def policy_config(settings: Settings, policy: str, path: str) -> Any:
    """VERL's `ppo_trainer` configuration for `policy` ("reasoner" or "decoder") in `path`.

    Raises:
        ConfigError: an override in `verl` or the hardware's settings is not one that VERL knows.
    """
    hardware, batch, tokens = settings.hardware, settings.batch, settings.tokens
    reasoner = policy == "reasoner"
    prompt = settings.data.max_prompt if reasoner else tokens.decoder_prompt
    rate = settings.learning_rate.of(policy)
    response = tokens.response if reasoner else tokens.answer
    pass_tokens = max(prompt + response, hardware.micro_batch_tokens)
    # Log-probs of the distribution before top_p and top_k, as `duet_training.verl_backend.generation` has them:
    # vLLM's raw ones are those at temperature 1, its processed ones those without truncation.
    raw = settings.temperature == 1 or not settings.trains
    log_probs = "raw_logprobs" if raw else "processed_logprobs"
    overrides = [
        f"actor_rollout_ref.model.path={path}",
        # The rollout's lengths follow from these.
        f"data.max_prompt_length={prompt}",
        f"data.max_response_length={response}",
        # Servers of more than one device are laid out by the node.
        f"trainer.n_gpus_per_node={hardware.devices_of(policy)}",
        # The trainer passes the sizes itself: groups here are not VERL's prompts.
        f"actor_rollout_ref.actor.ppo_mini_batch_size={batch.mini_batch}",
        f"actor_rollout_ref.rollout.n={batch.signals}",
        # What servers do where a request does not say: it says its temperature, and its seed if
        # `hardware.seeded_requests`.
        f"actor_rollout_ref.rollout.temperature={settings.temperature}",
        f"actor_rollout_ref.rollout.seed={settings.seed}",
        # One server a device, VERL's default is two devices each: a model fits one, and copies
        # need no communication.
        "actor_rollout_ref.rollout.tensor_model_parallel_size=1",
        f"actor_rollout_ref.actor.optim.lr={rate}",
        # VERL moves the rate's schedule once a step, however many mini-batches that has.
        f"actor_rollout_ref.actor.optim.total_training_steps={settings.steps}",
        # KL is taken out of the reward (`duet_training.rl.updates`), so the loss has none.
        "actor_rollout_ref.actor.use_kl_loss=false",
        # Micro-batches have a number of tokens, not of rows, here and for log-probs: responses have from
        # some to thousands of tokens. One holds at least one sequence of full length.
        "actor_rollout_ref.actor.use_dynamic_bsz=true",
        f"actor_rollout_ref.actor.ppo_max_token_len_per_gpu={pass_tokens}",
        f"actor_rollout_ref.rollout.max_model_len={prompt + response}",
        f"actor_rollout_ref.rollout.logprobs_mode={log_probs}",
        *_aggregation(settings.objective.loss_aggregation, response),
        *_adapter(settings.lora.of(policy)),
        *hardware.verl,
        *(hardware.reasoner if reasoner else hardware.decoder),
        *settings.verl,
    ]
    GlobalHydra.instance().clear()
    try:
        with initialize_config_module("verl.trainer.config", version_base=None):
            config = compose("ppo_trainer", overrides=overrides)
        OmegaConf.resolve(config)
    except (HydraException, OmegaConfBaseException) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"VERL refuses the settings of {policy}: {reason}") from error
    with open_dict(config):
        part = config.actor_rollout_ref
        _fit_passes(part, prompt + response)
        part.rollout.custom = {
            "first_replica": FIRST_REPLICA[policy],
            "empty_cache": hardware.empty_cache,
        }
        if not part.ref.fsdp_config.forward_only:
            part.ref.optim = part.actor.optim  # an engine that could train wants an optimizer
    return config
