"""Settings: one line for whatever is wrong, and the paper's values as defaults."""

import re
from pathlib import Path

import pytest
from peft import LoraConfig, get_peft_model
from torch.nn import Linear
from transformers import AutoModelForCausalLM, GPT2Config

from duet_training.errors import ConfigError
from duet_training.evaluation.run import EvaluationSettings
from duet_training.pair.lora import check_adapter
from duet_training.settings.binding import binding
from duet_training.settings.compose import compose_settings
from duet_training.settings.run import AdapterSettings, settings_from
from duet_training.verl_backend.config import policy_config
from tests.doubles.commands import train_run as main

NEEDED = ["pair=p.yaml", "out=o", "data.train=t.parquet"]


def test_defaults_are_the_papers():
    settings = settings_from(NEEDED)
    objective, batch = settings.objective, settings.batch
    penalty = objective.length_penalty
    assert (objective.budget, penalty.rate, penalty.start) == (1000, 0.01, 0)
    assert (objective.kl.coefficient, objective.counted, objective.baseline) == (
        0.001,
        "response",
        "per_signal",
    )
    assert (batch.questions, batch.signals, batch.answers, batch.mini_batch) == (64, 4, 4, 32)
    assert settings.learning_rate.reasoner == settings.learning_rate.decoder == 1e-6
    assert (settings.tokens.response, settings.tokens.answer) == (16384, 2048)
    assert (objective.next_penalty(0.5, 2000), objective.next_penalty(0.0, 1)) == (0.51, 0.0)
    sampling = settings.sampling(16384, [7])
    assert (sampling.temperature, sampling.top_p, sampling.top_k) == (1.0, 1.0, -1)
    # The released code's mini-batch of the decoder: 32 signals' answers, 8 updates a step.
    assert settings.decoder_rows == 32 * 4
    assert batch.questions * batch.signals * batch.answers // settings.decoder_rows == 8


def test_the_decoders_mini_batch_may_hold_whole_questions():
    settings = settings_from([*NEEDED, "batch.decoder_counts=questions"])
    assert settings.decoder_rows == 32 * 4 * 4


def test_evaluation_samples_as_the_released_script():
    settings = compose_settings("evaluate", NEEDED, EvaluationSettings)
    how = settings.how()
    reasoner, decoder = how["reasoner"], how["decoder"]
    assert (reasoner.temperature, reasoner.top_p, reasoner.top_k) == (0.6, 0.95, 20)
    assert decoder.temperature == 0.0
    given = ["decoder.temperature=0.7", "decoder.top_p=0.8", "temperature=0", "top_k=-1"]
    how = compose_settings("evaluate", [*NEEDED, *given], EvaluationSettings).how()
    assert (how["decoder"].temperature, how["decoder"].top_p) == (0.7, 0.8)
    assert (how["reasoner"].temperature, how["reasoner"].top_k) == (0.0, -1)


ABLATIONS = [
    ("objective.baseline=none", "no marginal utility"),
    ("objective.baseline=per_question", "r_m shared"),
    (
        "objective.length_penalty.schedule=constant objective.length_penalty.start=0.5",
        "constant lambda",
    ),
    ("objective.length_penalty.clip=null", "no clip"),
    ("objective.kl.coefficient=0", "no KL"),
    ("objective.budget=500", "another B"),
    ("objective.train_decoder=false", "decoder fixed"),
    ("objective.divide_by_std=false", "plain advantages"),
    ("objective.length_on_success_only=true", "length on success"),
    ("objective.counted=signal", "what counts"),
    ("method=single", "single model"),
    ("method=thinkprune", "ThinkPrune"),
    ("method=lgrpo", "L-GRPO"),
]


@pytest.mark.parametrize(("overrides", "what"), ABLATIONS)
def test_every_ablation_is_a_documented_switch(overrides, what):
    """It changes the run, so that checkpoints are not compatible; the README has it."""
    changed = settings_from([*NEEDED, *overrides.split()])
    assert binding(changed) != binding(settings_from(NEEDED))
    page = (Path(__file__).parents[3] / "training/README.md").read_text()
    for override in overrides.split():
        key, _, value = override.partition("=")
        assert f"{key}={value}" in page or (
            key == "objective.length_penalty.start" and f"{key}=" in page
        )


@pytest.mark.parametrize(
    ("override", "penalty"),
    [
        ("objective.length_penalty.clip=null", 1.01),
        ("objective.length_penalty.schedule=constant", 1.0),
    ],
)
def test_schedules_are_switches(override, penalty):
    assert settings_from([*NEEDED, override]).objective.next_penalty(1.0, 2000) == penalty


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["pair=p.yaml"], "data.train=..., out=..."),
        ([*NEEDED, "objective.budgte=3"], "there is no objective.budgte; --settings lists all"),
        ([*NEEDED, "nodes=2"], "there is no nodes; --settings lists all"),
        ([*NEEDED, "objective.baseline=nobody"], "per_question"),
        ([*NEEDED, "batch.mini_batch=7"], "not a multiple"),
        ([*NEEDED, "batch.signals=1"], "batch.signals"),
        ([*NEEDED, "objective.length_penalty.clip=[1,0]"], "low, high"),
        ([*NEEDED, "lora.reasoner.rank=-1"], "lora.reasoner.rank"),
        ([*NEEDED, "lora.reasoner.path=there"], "path=there is of an adapter: give its rank"),
        ([*NEEDED, "seed=["], "cannot read the settings"),
    ],
)
def test_bad_settings_are_one_line(overrides, says, capsys):
    with pytest.raises(ConfigError) as caught:
        settings_from(overrides)
    assert says in str(caught.value)
    assert main(overrides) == 1
    error = capsys.readouterr().err
    assert error.startswith("duet-train: ")
    assert error.count("\n") == 1


def test_missing_pair_is_one_line(capsys):
    assert main(NEEDED) == 1
    assert "cannot read the pair" in capsys.readouterr().err


def test_one_file_is_trained_on_or_several():
    assert settings_from(NEEDED).data.train == Path("t.parquet")
    assert binding(settings_from(NEEDED))["data"]["train"] == "t.parquet"
    both = settings_from([*NEEDED[:2], "data.train=[a.parquet,b.parquet]"])
    assert both.data.train == (Path("a.parquet"), Path("b.parquet"))
    assert binding(both)["data"]["train"] == ["a.parquet", "b.parquet"]
    with pytest.raises(ConfigError, match=r"data\.train"):
        settings_from([*NEEDED[:2], "data.train=[]"])


def test_binding_leaves_out_what_may_change():
    bound = binding(settings_from([*NEEDED, "steps=5"]))
    assert bound == binding(settings_from([*NEEDED, "steps=9", "resume=true", "samples=0"]))
    assert bound != binding(settings_from([*NEEDED, "steps=5", "seed=1"]))


ROLLOUT, ACTOR = "actor_rollout_ref.rollout", "actor_rollout_ref.actor"


@pytest.mark.parametrize(
    "override",
    [
        f"+hardware.decoder=['{ROLLOUT}.dtype=float16']",
        f"+hardware.reasoner=['+{ACTOR}.policy_loss.loss_mode=gspo']",
        "+hardware.seeded_requests=false",
        "hardware=gpu1",
        # Shards are read by as many ranks as have written them.
        "hardware.devices=2",
    ],
)
def test_what_the_hardware_changes_in_the_results_is_bound(override):
    assert binding(settings_from([*NEEDED, override])) != binding(settings_from(NEEDED))


def test_a_resumed_run_may_be_placed_elsewhere_in_memory():
    h100 = [*NEEDED, "hardware=h100x4"]
    less = [
        f"hardware.decoder=['{ROLLOUT}.gpu_memory_utilization=0.5','{ROLLOUT}.max_num_seqs=64']",
        "+hardware.micro_batch_tokens=20480",
        "hardware.threads=2",
    ]
    assert binding(settings_from([*h100, *less])) == binding(settings_from(h100))
    # Of two overrides of one setting VERL takes the last.
    bound = settings_from(
        [*NEEDED, f"+hardware.decoder=['+{ACTOR}.clip_ratio=0.1','{ACTOR}.clip_ratio=0.3']"]
    )
    assert binding(bound)["hardware"]["decoder"] == {f"{ACTOR}.clip_ratio": "0.3"}


def test_a_run_without_an_adapter_binds_as_one_before_there_were_any():
    assert "lora" not in binding(settings_from(NEEDED))
    # What is off says nothing, and neither does the adapter of a model that takes no part.
    off = ["lora.reasoner.alpha=32", "method=single", "lora.decoder.rank=4"]
    alone = settings_from([*NEEDED, "method=single"])
    assert binding(settings_from([*NEEDED, *off])) == binding(alone)
    adapted = settings_from([*NEEDED, "lora.reasoner.rank=4"])
    assert binding(adapted)["lora"] == {
        "reasoner": {"rank": 4, "alpha": 16, "first_layer": 0, "path": None}
    }
    assert binding(adapted) != binding(settings_from([*NEEDED, "lora.reasoner.rank=8"]))


def test_verl_is_told_of_an_adapter():
    more = ["lora.decoder.rank=4", "lora.decoder.alpha=8", "lora.decoder.first_layer=2"]
    settings = settings_from([*NEEDED, *more])
    model = policy_config(settings, "decoder", "/models/m").actor_rollout_ref.model
    assert (model.lora_rank, model.lora_alpha, model.target_modules) == (4, 8, "all-linear")
    assert model.lora.merge
    layers = ["model.layers.1.mlp.up_proj", "model.layers.2.mlp.up_proj"]
    assert [bool(re.fullmatch(model.exclude_modules, name)) for name in layers] == [True, False]
    other = policy_config(settings, "reasoner", "/models/m").actor_rollout_ref.model
    assert (other.lora_rank, other.lora.merge, other.exclude_modules) == (0, False, None)


def test_an_adapter_that_fits_nothing_is_one_line(pair_file, tmp_path):
    model = pair_file.parent / "decoder"
    with pytest.raises(ConfigError, match=r"lora.decoder: .* no linear layer .* from layer 2 on"):
        check_adapter("decoder", model, AdapterSettings(rank=4, first_layer=2))
    GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=8).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"lora.decoder.first_layer: .* does not number"):
        check_adapter("decoder", tmp_path, AdapterSettings(rank=4, first_layer=1))


def test_an_adapter_to_begin_with_has_the_shape_that_is_asked_for(pair_file, tmp_path):
    model, path = pair_file.parent / "decoder", tmp_path / "adapter"
    with pytest.raises(ConfigError, match=r"lora.decoder.path: there is no .*adapter_config.json"):
        check_adapter("decoder", model, AdapterSettings(rank=4, path=path))
    network = AutoModelForCausalLM.from_pretrained(model)
    linear = [
        n for n, module in network.model.layers[1].named_modules() if isinstance(module, Linear)
    ]
    wanted = LoraConfig(r=4, lora_alpha=16, target_modules=linear, layers_to_transform=[1])
    get_peft_model(network, wanted).save_pretrained(path)
    assert check_adapter("decoder", model, AdapterSettings(rank=4, first_layer=1, path=path)) > 0
    for shape in ({"rank": 4}, {"rank": 4, "first_layer": 1, "alpha": 8}):
        with pytest.raises(ConfigError, match=r"has rank 4, alpha 16 and \d+ weights; rank 4, "):
            check_adapter("decoder", model, AdapterSettings(**shape, path=path))
    config = policy_config(
        settings_from([*NEEDED, "lora.decoder.rank=4", f"lora.decoder.path={path}"]), "decoder", "m"
    )
    assert config.actor_rollout_ref.model.lora_adapter_path == str(path)


def test_verl_composes_both_policies():
    settings = settings_from(NEEDED)
    reasoner = policy_config(settings, "reasoner", "/models/m").actor_rollout_ref
    decoder = policy_config(settings, "decoder", "/models/m").actor_rollout_ref
    assert reasoner.rollout.response_length == 16384
    assert decoder.rollout.prompt_length == 18432
    assert reasoner.rollout.custom.first_replica != decoder.rollout.custom.first_replica


def test_an_override_that_verl_does_not_know_is_one_line():
    settings = settings_from([*NEEDED, "hardware.verl=['actor_rollout_ref.nothing=1']"])
    with pytest.raises(ConfigError, match="VERL refuses"):
        policy_config(settings, "reasoner", "/models/m")
