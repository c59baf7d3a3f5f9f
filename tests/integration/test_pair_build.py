"""Building pairs: the default one, and a thinking pair from local models as on a GPU host."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from duet_cloud.errors import PairBuildError
from duet_cloud.pairs.build import build_pair
from duet_cloud.pairs.recipe import Source, load_recipe
from duet_contract.builder import builder_public
from duet_contract.integrity import verify_files
from duet_contract.manifest import SlotPart, load_manifest
from duet_contract.signature import read_signature, verify_signature
from tests.doubles import models
from tests.doubles.commands import cloud_pairs as main


def _text(prompt):
    return "".join(
        "{" + part.slot + "}" if isinstance(part, SlotPart) else part.template for part in prompt
    )


def test_a_thinking_pair(thinking_pair):
    manifest = load_manifest(thinking_pair)
    user = (
        "<|im_start|>user\n{question} Let's think step by step and output the final answer within "
        "\\boxed{}.<|im_end|>\n<|im_start|>assistant\n"
    )
    assert _text(manifest.reasoner.prompt) == user + "<think>\n"
    assert _text(manifest.decoder.prompt_with_signal) == user + "<think>\n{signal}\n</think>\n\n"
    assert _text(manifest.decoder.prompt_alone) == user + "<think>\n\n</think>\n\n"
    assert manifest.reasoner.end_of_reasoning == "</think>"
    assert manifest.decoder.end_of_answer == ("<|im_end|>",)
    assert manifest.shared_vocabulary
    assert manifest.reasoner.vocabulary.normalization == "NFC"
    verify_files(thinking_pair, (*manifest.reasoner.files, *manifest.decoder.files))


def test_a_built_pair_is_signed_by_this_machines_builder(thinking_pair):
    manifest = (thinking_pair / "manifest.json").read_bytes()
    signature = read_signature(thinking_pair)
    trusted = builder_public()
    signer = verify_signature(manifest, load_manifest(thinking_pair), signature, trusted)
    assert (signer,) == trusted


def test_what_was_built_without_a_signature_is_built_again(thinking_pair, tmp_path, monkeypatch):
    shutil.copytree(thinking_pair, tmp_path / "pair")
    built = []
    monkeypatch.setattr(
        "duet_cloud.pairs.build.build_pair", lambda *arguments, **_: built.append(arguments)
    )
    arguments = ["build", "qwen3-4b-0.6b", "--out", str(tmp_path / "pair"), "--if-missing"]
    assert main(arguments) == 0
    assert not built
    (tmp_path / "pair" / "model.sig").unlink()
    assert main(arguments) == 0
    assert len(built) == 1


def test_a_failed_build_leaves_nothing(tmp_path):
    (tmp_path / "reasoner").mkdir()
    (tmp_path / "reasoner" / "config.json").write_text("{}")
    recipe = load_recipe("qwen3-4b-0.6b")
    broken = recipe.model_copy(
        update={
            "reasoner": recipe.reasoner.model_copy(
                update={"source": Source(local=tmp_path / "reasoner")}
            )
        }
    )
    with pytest.raises(PairBuildError):
        build_pair(broken, tmp_path / "out", report=lambda _: None)
    assert [path.name for path in tmp_path.iterdir()] == ["reasoner"]


def _with_adapter(root):
    """A tiny reasoner, its GGUF, an adapter of rank 2 on its queries, and a recipe for them."""
    from peft import LoraConfig, get_peft_model

    models.write_hub_model(root / "model")
    models.write_gguf_model(root / "model", root / "small.gguf")
    base = AutoModelForCausalLM.from_pretrained(root / "model")
    settings = LoraConfig(r=2, lora_alpha=6, target_modules=["q_proj"], init_lora_weights=False)
    get_peft_model(base, settings).save_pretrained(root / "adapters" / "words")
    (root / "recipe.toml").write_text(f"""
id = "adapted"
version = "1.0.0"
description = "d"
licence = "MIT"
base_models = ["Org/Model"]
limits = {{ question = 100, budget = 100, answer = 20 }}
defaults = {{ budget = 50, answer = 20 }}
[reasoner]
source = {{ local = "{root}/model" }}
adapter = {{ local = "{root}/adapters", folder = "words" }}
prompt = [{{ template = "<|im_start|>" }}, {{ slot = "question" }}, {{ template = "<|im_end|>" }}]
end_of_reasoning = "</think>"
[decoder]
source = {{ local = "{root}", gguf = "small.gguf" }}
prompt_with_signal = [{{ slot = "question" }}, {{ slot = "signal" }}, {{ template = "<|im_end|>" }}]
prompt_alone = [{{ slot = "question" }}, {{ template = "<|im_end|>" }}]
""")
    return load_recipe(str(root / "recipe.toml"))


def test_an_adapter_is_added_and_prompts_are_the_recipes(tmp_path):
    recipe = _with_adapter(tmp_path)
    before = load_file(tmp_path / "model" / "model.safetensors")
    files = {file: file.read_bytes() for file in (tmp_path / "model").iterdir()}
    manifest = build_pair(recipe, tmp_path / "pair", report=lambda _: None)
    assert _text(manifest.reasoner.prompt) == "<|im_start|>{question}<|im_end|>"
    assert manifest.reasoner.end_of_reasoning == "</think>"
    assert _text(manifest.decoder.prompt_with_signal) == "{question}{signal}<|im_end|>"
    assert _text(manifest.decoder.prompt_alone) == "{question}<|im_end|>"
    verify_files(tmp_path / "pair", (*manifest.reasoner.files, *manifest.decoder.files))
    after = load_file(tmp_path / "pair" / "reasoner" / "model.safetensors")
    # The model that it was made from belongs to another program, and may share its blocks on the disk.
    assert {file: file.read_bytes() for file in (tmp_path / "model").iterdir()} == files
    factors = load_file(tmp_path / "adapters" / "words" / "adapter_model.safetensors")
    changed = {name for name, weight in before.items() if not _near(weight, after[name])}
    assert len(changed) == models.LAYERS
    for name in changed:
        part = f"base_model.model.{name.removesuffix('.weight')}"
        down, up = factors[f"{part}.lora_A.weight"], factors[f"{part}.lora_B.weight"]
        assert _near(before[name] + 3 * up @ down, after[name])


def _near(one, other):
    return torch.allclose(one.float(), other.float(), rtol=2**-7, atol=2**-9)


def test_an_adapter_of_another_model_is_one_clear_line(tmp_path):
    recipe = _with_adapter(tmp_path)
    settings = tmp_path / "adapters" / "words" / "adapter_config.json"
    content = json.loads(settings.read_text()) | {"target_modules": ["no_such_layer"]}
    settings.write_text(json.dumps(content))
    with pytest.raises(
        PairBuildError, match=r"adapter in .*words cannot be added: .*no_such_layer"
    ):
        build_pair(recipe, tmp_path / "pair", report=lambda _: None)
    settings.unlink()
    with pytest.raises(PairBuildError, match=r"adapter_config\.json does not exist"):
        build_pair(recipe, tmp_path / "pair", report=lambda _: None)
    assert not (tmp_path / "pair").exists()
