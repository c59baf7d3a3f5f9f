"""`private-sums-135m` is built from parts in the layout of its release, here with tiny weights."""

import importlib.resources
import shutil
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from duet_cloud.pairs import build, sources
from duet_cloud.pairs.recipe import load_recipe
from duet_cloud.pairs.sources import locate
from duet_cloud.reasoner import PairReasoner
from duet_contract.calibration import CALIBRATION_NAME, check_calibration, parse_calibration
from duet_contract.manifest import MANIFEST_NAME, SIGNATURE_NAME, load_manifest
from duet_contract.pairs import find_pair
from duet_contract.quantities import answer_of, mask
from duet_device.client import Client
from tests.doubles import models
from tests.doubles.cloud import ScriptedCloud, done_text, says, text
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


@pytest.fixture(scope="module")
def built() -> Path:
    """The released pair, built from its recipe as users do; `make test` builds it first."""
    assert main(["build", NAME, "--if-missing"]) == 0
    return find_pair(NAME)


def test_the_released_pair_marks_by_the_calibration_that_it_came_with(built: Path) -> None:
    manifest = load_manifest(built)
    assert manifest.calibration in manifest.files
    calibration = parse_calibration((built / CALIBRATION_NAME).read_text("utf-8"))
    check_calibration(calibration, manifest)
    assert calibration.mark
    question = next(iter(ASKED))
    receipts = []
    for formula, odds in (("a-b", -0.01), ("a*b", -3.0)):
        end = done_text(4)
        end.end.least_log_probability = end.end.mean_log_probability = odds
        script = says(text(formula), end)
        with (
            ScriptedCloud(script) as cloud,
            Client(built, allow_unsigned=True, server=cloud.address) as client,
        ):
            receipts.append(client.ask(question, require_cloud=True).receipt)
    sure, doubtful = receipts
    assert (sure.value, sure.low_confidence, doubtful.low_confidence) == ("7", False, True)
    assert sure.chance
    assert doubtful.chance is not None
    assert sure.chance > calibration.mark.right > doubtful.chance


def test_a_recipe_with_another_decoder_leaves_the_calibration_out(
    released: Path, base: Path, tmp_path: Path
) -> None:
    arguments = ["build", NAME, "--reasoner", str(base), "--out", str(tmp_path / "pair")]
    assert main(arguments) == 0
    assert load_manifest(tmp_path / "pair").calibration is None


def test_a_pair_that_was_built_before_it_had_a_calibration_is_not_ready(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = tmp_path / NAME
    pair.mkdir()
    for name in (MANIFEST_NAME, SIGNATURE_NAME, CALIBRATION_NAME):
        shutil.copyfile(built / name, pair / name)
    again: list[object] = []
    monkeypatch.setattr(build, "build_pair", lambda *given, **_: again.append(given))
    arguments = ["build", NAME, "--if-missing", "--out", str(pair)]
    assert main(arguments) == 0
    assert not again
    earlier = load_manifest(pair).model_copy(update={"calibration": None})
    (pair / MANIFEST_NAME).write_text(earlier.to_json(), "utf-8")
    assert main(arguments) == 0
    assert len(again) == 1


def test_the_released_weights_answer_questions_in_plain_words(built: Path) -> None:
    reasoner = PairReasoner.load(built)
    assert not reasoner.manifest.shared_vocabulary
    model = AutoModelForCausalLM.from_pretrained(reasoner.directory, dtype=torch.bfloat16)
    for question, value in ASKED.items():
        masked = mask(question)
        formula = _formula(reasoner, model, masked.text)
        assert answer_of(masked, formula).value == value, (question, formula)
