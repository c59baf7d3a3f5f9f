"""hardware=h100x4 against VERL's own configuration files, without a GPU."""

import tomllib
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from verl.utils.config import omega_conf_to_dataclass

from duet_cloud.pairs.formats import ChatTemplate, derive
from duet_training.errors import ConfigError
from duet_training.pair.description import read_pair
from duet_training.settings.run import settings_from
from duet_training.verl_backend.config import policy_config

NEEDED = ["pair=qwen3-4b-0.6b", "out=o", "data.train=t.parquet"]
GPU = ("h100x4", "h100x4_separate")


@pytest.fixture(scope="module")
def composed(pair_file):
    """VERL's configuration of both policies, for each kind of hardware."""
    found = {}
    for hardware in GPU:
        settings = settings_from([*NEEDED, f"hardware={hardware}"])
        path = str(pair_file.parent / "reasoner")
        found[hardware] = {name: policy_config(settings, name, path) for name in settings.policies}
    return found


@pytest.mark.parametrize("hardware", GPU)
def test_every_override_takes_effect(hardware, composed):
    """Composed by Hydra against VERL's files: a name that VERL has not would be refused."""
    settings = settings_from([*NEEDED, f"hardware={hardware}"])
    for name, config in composed[hardware].items():
        for override in (*settings.hardware.verl, *getattr(settings.hardware, name)):
            key, _, value = override.removeprefix("+").partition("=")
            got = OmegaConf.select(config, key)
            assert str(got).lower() == value.lower(), override


@pytest.mark.parametrize("hardware", GPU)
def test_what_needs_no_gpu_is_instantiated(hardware, composed):
    """VERL's own dataclasses check the values: types, strategies, what excludes what."""
    for name, config in composed[hardware].items():
        part = config.actor_rollout_ref
        rollout = omega_conf_to_dataclass(part.rollout)
        assert (rollout.name, rollout.mode) == ("vllm", "async")
        assert rollout.tensor_model_parallel_size == 1
        assert rollout.enable_sleep_mode
        assert rollout.free_cache_engine
        assert rollout.max_model_len == rollout.prompt_length + rollout.response_length
        assert rollout.logprobs_mode == "raw_logprobs"
        assert rollout.checkpoint_engine.backend == "naive"
        model = omega_conf_to_dataclass(part.model)
        assert model.hf_config._attn_implementation == "flash_attention_2"
        assert model.use_remove_padding
        actor = omega_conf_to_dataclass(part.actor)
        actor.model_config = model
        assert actor.engine.strategy == "fsdp2"
        assert actor.engine.model_dtype == "fp32"
        assert not actor.engine.forward_only
        gpus = 4 if hardware == "h100x4" else 2
        actor.validate(gpus, 64, None)
        assert part.rollout.n_gpus_per_node == gpus
        # What the worker does to the reference's part before it makes a dataclass of it.
        ref = OmegaConf.to_container(part.ref)
        assert ref["fsdp_config"]["forward_only"]
        assert ref["strategy"] == "fsdp2"
        longest = rollout.max_model_len
        assert part.actor.ppo_max_token_len_per_gpu >= longest
        assert part.rollout.log_prob_max_token_len_per_gpu >= longest
        assert part.ref.log_prob_max_token_len_per_gpu >= longest
        assert omega_conf_to_dataclass(part.actor.optim).lr == 1e-6
        assert name in ("reasoner", "decoder")


@pytest.mark.parametrize(
    ("parallel", "tokens", "longest"),
    [(1, "tokens.response=40000", 41024), (2, "tokens.response=100000", 50512)],
)
def test_every_pass_has_room_for_the_longest_sequence(parallel, tokens, longest):
    """VERL stops at a sequence that is longer than a pass, in whatever step it comes."""
    ulysses = f"actor_rollout_ref.actor.ulysses_sequence_parallel_size={parallel}"
    smaller = "actor_rollout_ref.actor.ppo_max_token_len_per_gpu=4096"
    settings = settings_from(
        [*NEEDED, "hardware=h100x4", tokens, f"verl=['{ulysses}','{smaller}']"]
    )
    part = policy_config(settings, "reasoner", "m").actor_rollout_ref
    assert part.actor.ppo_max_token_len_per_gpu == longest
    assert part.rollout.log_prob_max_token_len_per_gpu == longest
    assert part.ref.log_prob_max_token_len_per_gpu == longest


def test_an_adapter_passes_verls_own_checks(pair_file):
    """vLLM's servers are asked for whole weights: without `merge` they would want the adapter."""
    settings = settings_from([*NEEDED, "hardware=h100x4", "lora.reasoner.rank=4"])
    config = policy_config(settings, "reasoner", str(pair_file.parent / "reasoner"))
    model = omega_conf_to_dataclass(config.actor_rollout_ref.model)
    assert (model.lora_rank, model.lora_alpha, model.target_modules) == (4, 16, "all-linear")
    assert model.lora["merge"]
    assert model.lora["rank"] == 0


def test_the_two_policies_never_share_a_servers_name(composed):
    configs = composed["h100x4"]
    first = {
        name: config.actor_rollout_ref.rollout.custom.first_replica
        for name, config in configs.items()
    }
    assert abs(first["reasoner"] - first["decoder"]) >= 4


def test_pools_are_shared_or_separate():
    shared, apart = (settings_from([*NEEDED, f"hardware={name}"]).hardware for name in GPU)
    assert shared.shared_pool
    assert shared.ranks_of("reasoner") == shared.ranks_of("decoder") == 4
    assert not apart.shared_pool
    assert (apart.ranks_of("reasoner"), apart.ranks_of("decoder")) == (2, 2)
    two = settings_from([*NEEDED, "hardware=h100x4", "hardware.nodes=2"]).hardware
    assert two.ranks_of("reasoner") == 8


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["temperature=0.9", "top_p=0.9"], "temperature=1"),
        (["hardware.devices=3"], "not a multiple of the devices"),
        (["hardware.decoder_devices=0"], "decoder_devices"),
        (["top_p=0"], "top_p"),
    ],
)
def test_bad_gpu_settings_are_one_line(overrides, says):
    with pytest.raises(ConfigError, match=says):
        settings_from([*NEEDED, "hardware=h100x4", *overrides])


def test_log_probs_are_comparable_at_every_temperature(tmp_path):
    warm = settings_from([*NEEDED, "hardware=h100x4", "temperature=0.9"])
    part = policy_config(warm, "reasoner", str(tmp_path)).actor_rollout_ref
    assert part.rollout.logprobs_mode == "processed_logprobs"
    cut = settings_from([*NEEDED, "hardware=h100x4", "top_p=0.9", "top_k=50"])
    part = policy_config(cut, "reasoner", str(tmp_path)).actor_rollout_ref
    assert part.rollout.logprobs_mode == "raw_logprobs"


# As Qwen3's: the think block is the model's to open, unless thinking is switched off.
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}"
    "{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)


def test_the_built_in_pair_has_the_prompts_of_serving():
    """Those that the cloud's builder derives from such a template and its recipe's instruction."""
    pair = read_pair(Path("qwen3-4b-0.6b"))
    recipe = tomllib.loads(
        (
            Path(__file__).parents[3] / "cloud/duet_cloud/pairs/recipes/qwen3-4b-0.6b.toml"
        ).read_text()
    )
    ask = recipe["reasoner"]["instruction"]
    control = ("<|im_start|>", "<|im_end|>", "<think>", "</think>")
    served = derive(ChatTemplate("qwen3", TEMPLATE, control), ask)
    assert pair.reasoner.prompt == served.thinking
    assert pair.decoder.prompt_with_signal == served.with_signal("")
    assert pair.decoder.prompt_alone == served.plain
    assert pair.reasoner.end_of_reasoning == served.end_of_thinking
    assert [str(pair.reasoner.path), str(pair.decoder.path)] == recipe["base_models"]
