"""`private-sums-135m` is built from parts in the layout of its release, here with tiny weights."""

import importlib.resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from duet_cloud.pairs import sources
from duet_cloud.pairs.build import build_pair
from duet_cloud.pairs.recipe import load_recipe
from duet_cloud.pairs.sources import locate
from duet_cloud.reasoner import PairReasoner
from duet_contract.manifest import load_manifest
from duet_contract.quantities import answer_of, mask
from tests.doubles import models
from tests.doubles.commands import cloud_pairs as main

NAME = "private-sums-135m"
ASKED = {
    "Sam has 12 apples. He gives 5 apples to his sister. How many apples does Sam have left?": "7",
    "A box holds 6 pens. How many pens are there in 4 boxes?": "24",
    "There were 35 people on a bus. At the next stop 8 more got on. How many are on it now?": "43",
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A model with the control token that ends reasoning."""
    models.write_hub_model(tmp_path / "base")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "base")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|endoftext|>"]})
    model.resize_token_embeddings(len(tokenizer))
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def released(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package `duet_pairs` with an adapter of `base` and a decoder."""
    package = tmp_path / "duet_pairs"
    settings = LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"], init_lora_weights=False)
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(base), settings)
    adapted.save_pretrained(package / NAME / "adapter")
    decoder = package / NAME / "decoder"
    models.write_hub_model(decoder)
    models.write_gguf_model(decoder, decoder / "model.Q8_0.gguf")

    def files(name: str) -> Traversable:
        return package if name == "duet_pairs" else importlib.resources.files(name)

    monkeypatch.setattr(sources, "files", files)
    return package / NAME


def test_the_pair_is_built_from_its_parts(released: Path, base: Path, tmp_path: Path) -> None:
    arguments = ["build", NAME, "--reasoner", str(base), "--out", str(tmp_path / "pair")]
    assert main(arguments) == 0
    manifest = load_manifest(tmp_path / "pair")
    assert (manifest.id, manifest.quantities, manifest.answers) == (NAME, "private", "computed")
    reasoner = PairReasoner.load(tmp_path / "pair")
    prompt = reasoner.prompt(reasoner.encode_question(mask("Ann has 3 pens.").text))
    vocabulary = AutoTokenizer.from_pretrained(reasoner.directory)
    assert vocabulary.decode(prompt) == "<|im_start|>Ann has [a] pens.<|im_end|>"
    assert vocabulary.convert_tokens_to_ids("<|endoftext|>") == reasoner.stop_id


def test_a_release_without_its_weights_is_named(
    released: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (released / "decoder" / "model.Q8_0.gguf").unlink()
    arguments = ["build", NAME, "--reasoner", str(base), "--out", str(tmp_path / "pair")]
    assert main(arguments) == 6
    assert "model.Q8_0.gguf does not exist" in capsys.readouterr().err


def test_its_base_is_the_model_of_the_package() -> None:
    assert locate(load_recipe(NAME).reasoner.source).is_dir()


def _formula(reasoner: PairReasoner, model: Any, question: str) -> str:
    """Greedily, up to the end of reasoning."""
    prompt = reasoner.prompt(reasoner.encode_question(question))
    written = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones((1, len(prompt)), dtype=torch.long),
        max_new_tokens=reasoner.manifest.defaults.budget,
        do_sample=False,
        eos_token_id=reasoner.stop_id,
        pad_token_id=reasoner.stop_id,
    )[0, len(prompt) :].tolist()
    assert written[-1] == reasoner.stop_id
    words = Tokenizer.from_file(str(reasoner.directory / "tokenizer.json"))
    return words.decode(written[:-1], skip_special_tokens=False)


def test_the_released_weights_answer_questions_in_plain_words(tmp_path: Path) -> None:
    build_pair(load_recipe(NAME), tmp_path / NAME, report=lambda _: None)
    reasoner = PairReasoner.load(tmp_path / NAME)
    assert not reasoner.manifest.shared_vocabulary
    model = AutoModelForCausalLM.from_pretrained(reasoner.directory, dtype=torch.bfloat16)
    for question, value in ASKED.items():
        masked = mask(question)
        formula = _formula(reasoner, model, masked.text)
        assert answer_of(masked, formula).value == value, (question, formula)
