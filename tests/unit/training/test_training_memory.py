"""Memory on paper: shapes, parts and phases by hand, and the table in training/GPU.md."""

import json
from pathlib import Path

import pytest

from duet_training.errors import ConfigError
from duet_training.pair.lora import check_adapter
from duet_training.preflight import run as checks
from duet_training.preflight.memory import (
    CONTEXT,
    GIB,
    RESTING,
    Engine,
    ModelShape,
    activations,
    cached_tokens,
    engine_of,
    memory_table,
    phases,
    resident,
    shape_of,
    unfreed,
)
from duet_training.settings.run import AdapterSettings, settings_from
from duet_training.verl_backend.config import policy_config

# Qwen3-4B and Qwen3-0.6B, as their config.json has them.
CONFIGS = {
    "reasoner": {
        "num_hidden_layers": 36,
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    },
    "decoder": {
        "num_hidden_layers": 28,
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    },
}
# Their published sizes.
SIZES = {"reasoner": 4.022e9, "decoder": 0.596e9}
TOY = ModelShape(1000, 2, 10, 20, 10, 5, 50)


def _shapes(directory):
    shapes = {}
    for name, config in CONFIGS.items():
        (directory / name).mkdir()
        (directory / name / "config.json").write_text(json.dumps(config))
        shapes[name] = shape_of(directory / name)
    return shapes


def _paper(directory, hardware):
    settings = settings_from(["pair=p", "out=o", "data.train=t", f"hardware={hardware}"])
    engines = {
        name: engine_of(policy_config(settings, name, "m"), shape, settings.hardware.ranks_of(name))
        for name, shape in _shapes(directory).items()
    }
    return settings.hardware, engines


def test_shapes_count_the_published_weights(tmp_path):
    shapes = _shapes(tmp_path)
    for name, size in SIZES.items():
        assert shapes[name].parameters == pytest.approx(size, rel=1e-3)
    # Keys and values of 36 layers, 8 heads of 128, two bytes each: 144 KiB a token.
    assert shapes["reasoner"].cache_bytes == 144 * 1024
    assert shapes["decoder"].cache_bytes == 112 * 1024


def test_a_counted_model_matches_transformers(pair_file):
    from transformers import AutoModelForCausalLM

    path = pair_file.parent / "reasoner"
    model = AutoModelForCausalLM.from_pretrained(path)
    exact = sum(weight.numel() for weight in model.parameters())
    # Norms alone are left out.
    norms = sum(w.numel() for name, w in model.named_parameters() if "norm" in name)
    assert shape_of(path).parameters == exact - norms


@pytest.mark.parametrize("first_layer", [0, 1])
def test_an_adapter_is_as_large_as_pefts(pair_file, first_layer):
    path = pair_file.parent / "reasoner"
    exact = check_adapter("reasoner", path, AdapterSettings(rank=4, first_layer=first_layer))
    assert shape_of(path).adapter(4, first_layer) == exact


def test_with_an_adapter_moments_and_gradients_are_its_own():
    engine = Engine(TOY, ranks=2, longest=7, read=14, served=0.5, adapter=100)
    assert resident(engine, updating=True) == {
        "masters": 4 * (1000 + 100) / 2 / GIB,
        "moments": 8 * 100 / 2 / GIB,
        "gradients": 4 * 100 / 2 / GIB,
    }


def test_parts_by_hand():
    engine = Engine(TOY, ranks=2, longest=7, read=14, served=0.5)
    assert resident(engine, updating=False) == {"masters": 2000 / GIB, "moments": 4000 / GIB}
    assert resident(engine, updating=True)["gradients"] == 2000 / GIB
    away = Engine(TOY, 2, 7, 14, 0.5, offload_parameters=True, offload_optimizer=True)
    assert resident(away, updating=False) == {}
    assert set(resident(away, updating=True)) == {"masters", "moments", "gradients"}
    parts = activations(engine)
    assert parts["logits"] * GIB == pytest.approx(2 * 7 * 50)
    assert parts["kept"] * GIB == pytest.approx(2 * 7 * 10 * 2)
    assert parts["layer"] * GIB == pytest.approx(2 * 7 * (4 * 20 + 2 * 10 + 2 * (10 + 2 * 5)))
    # Two layers of (1000 - 500) / 2 weights, and the embeddings.
    assert parts["all-gathered"] * GIB == pytest.approx(2 * (2 * 250 + 500))
    # 20 GiB times 0.5, less weights and what rests; 4 x 2 x 5 bytes a token.
    free = 10 * GIB - 2000 - RESTING * GIB
    assert cached_tokens(engine, 20) == int(free // 40)


def test_sharing_a_device_adds_the_other_model():
    engines = {name: Engine(TOY, 1, 7, 14, 0.5) for name in ("reasoner", "decoder")}
    shared, apart = (phases(engines, 10, shared=both) for both in (True, False))
    more = sum(shared["reasoner generates"].values()) - sum(apart["reasoner generates"].values())
    assert more == pytest.approx(12 * 1000 / GIB + RESTING + CONTEXT)
    assert "decoder's gradients" not in shared["reasoner learns"]
    assert len(shared) == 8


@pytest.mark.parametrize("hardware", ["h100x4", "h100x4_separate"])
def test_the_papers_pair_fits_in_every_phase(hardware, tmp_path):
    settings, engines = _paper(tmp_path, hardware)
    found = phases(engines, settings.device_memory, shared=settings.shared_pool)
    assert max(sum(parts.values()) for parts in found.values()) < 0.95 * settings.device_memory
    for engine in engines.values():
        assert cached_tokens(engine, settings.device_memory) > 10 * engine.longest


def test_what_a_trainer_keeps_by_hand():
    """Log-probs read twice the tokens of an update, which adds gradients and kept layer inputs."""
    engine = Engine(TOY, ranks=2, longest=7, read=14, served=0.5)
    parts = activations(engine)
    read = parts["all-gathered"] + 2 * (parts["layer"] + parts["logits"])
    assert unfreed(engine) == pytest.approx(max(read, sum(parts.values()) + 2000 / GIB))


@pytest.mark.parametrize(("empty_cache", "status"), [(True, "ok"), (False, "fail")])
def test_h100x4_fits_only_if_trainers_free_their_caches(tmp_path, empty_cache, status):
    """From the second step on, when the decoder's trainer has learned once."""
    overrides = ["pair=p", "out=o", "data.train=t", "hardware=h100x4"]
    settings = settings_from([*overrides, f"hardware.empty_cache={empty_cache}"])
    configs = {name: policy_config(settings, name, "m") for name in settings.policies}
    *findings, found = checks.memory(settings, _shapes(tmp_path), configs)
    assert findings[0].what == "GPU memory"
    assert findings[0].status == status
    peak = sum(found["reasoner generates"].values())
    assert peak == pytest.approx(72.3 if empty_cache else 85.9, abs=0.1)
    assert ("hardware.empty_cache=true" in findings[0].detail) == (not empty_cache)
    # The decoder's own weight update frees its blocks before its servers wake.
    assert sum(found["decoder generates"].values()) == pytest.approx(72.3, abs=0.1)


def test_the_page_shows_what_is_computed(tmp_path):
    settings, engines = _paper(tmp_path, "h100x4")
    found = phases(engines, settings.device_memory, shared=True)
    page = (Path(__file__).parents[3] / "training/GPU.md").read_text()
    for line in memory_table(found, settings.device_memory):
        assert line in page


def test_a_model_of_another_kind_is_one_line(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "other"}')
    with pytest.raises(ConfigError, match="cannot read the shape"):
        shape_of(tmp_path)
