"""Pairs of any two models: families with their own chat templates, vocabularies and layouts."""

import json
import tomllib
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from duet_cloud.reasoner import PairReasoner
from duet_contract.integrity import verify_files
from duet_contract.manifest import SlotPart, load_manifest
from duet_contract.prompts import encode_text, prompt_ids
from duet_device import Client
from duet_device.decoder.llama import Decoder
from tests.doubles import models
from tests.doubles.chat_templates import FAMILIES
from tests.doubles.commands import cloud_pairs as main

INSTRUCTION = " Let's think step by step and output the final answer within \\boxed{}."
NAMES = ["qwen3", "llama3", "smollm2", "gemma"]
# Every family reasons once and answers once, the first one with itself.
PAIRS = [("qwen3", "qwen3"), *pairwise([*NAMES, NAMES[0]])]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Builds the pair of two families, once; its directory, and that of the models."""
    root = tmp_path_factory.mktemp("models")
    for name in NAMES:
        models.write_hub_model(root / name, name)
        (root / f"{name}-gguf").mkdir()
        models.write_gguf_model(root / name, root / f"{name}-gguf" / f"{name}.gguf", name)
    made = {}

    def build(reasoner, decoder):
        out = root / f"{reasoner}+{decoder}"
        if out not in made:
            arguments = [
                "--reasoner",
                str(root / reasoner),
                "--decoder",
                str(root / f"{decoder}-gguf"),
            ]
            arguments += ["--out", str(out), "--save-recipe", str(root / f"{out.name}.toml")]
            assert main(["build", *arguments]) == 0
            made[out] = load_manifest(out)
        return out, made[out]

    return root, build


@pytest.fixture(params=PAIRS, ids="+".join)
def pair(request, built):
    root, build = built
    directory, manifest = build(*request.param)
    return (*request.param, root, directory, manifest)


def _text(prompt, question):
    return "".join(question if isinstance(part, SlotPart) else part.template for part in prompt)


def test_a_pair_is_built_signed_and_answers(pair):
    reasoner, decoder, _, directory, manifest = pair
    verify_files(directory, (*manifest.reasoner.files, *manifest.decoder.files))
    assert manifest.shared_vocabulary == (reasoner == decoder)
    assert manifest.alone == "useful"
    assert manifest.limits.model_dump() == {"question": 1024, "budget": 16384, "answer": 2048}
    end = "</think>" if reasoner == "qwen3" else FAMILIES[reasoner].ends[0]
    assert manifest.reasoner.end_of_reasoning == end
    assert manifest.decoder.end_of_answer == tuple(FAMILIES[decoder].ends)
    with Client(str(directory), device_only=True, answer_tokens=8) as client:
        result = client.ask("How many apples are 3 and 4 apples?")
    assert result.receipt.source == "device"
    assert 0 < result.receipt.tokens.answer <= 8


def test_the_prompts_are_the_models_own(pair):
    """Any question's prompt is what each model's own tokenizer makes of its chat template."""
    reasoner, decoder, root, directory, manifest = pair
    read = [AutoTokenizer.from_pretrained(root / name) for name in (reasoner, decoder)]
    cloud = PairReasoner.load(directory)
    sides = [
        (read[0], cloud.tokenizer, manifest.reasoner.vocabulary, manifest.reasoner.prompt, True),
        (read[1], None, manifest.decoder.vocabulary, manifest.decoder.prompt_alone, False),
    ]
    with Decoder(directory / manifest.decoder.path, 1) as device:

        @settings(
            max_examples=20, deadline=None, suppress_health_check=[HealthCheck.differing_executors]
        )
        @given(
            question=st.text(st.characters(codec="utf-8"), max_size=30).map(str.strip).filter(bool)
        )
        def agree(question):
            for hub, tokenizer, vocabulary, prompt, thinking in sides:
                turns = [{"role": "user", "content": question + INSTRUCTION}]
                options = {"add_generation_prompt": True, "enable_thinking": thinking}
                options |= {"date_string": "26 Jul 2024", "tokenize": False}
                whole = hub.apply_chat_template(turns, **options)
                text = _text(prompt, question)
                # The think block of the reasoner is opened for it.
                assert text.removeprefix(whole) in ("", "<think>\n")
                # Where nothing merges across the question's edges, the ids are the whole text's.
                slot = encode_text(tokenizer or device, vocabulary, question)
                ids = prompt_ids(tokenizer or device, prompt, question=slot)
                if not vocabulary.normalization:
                    assert hub.decode(ids, clean_up_tokenization_spaces=False) == text
                if question.isascii() and question.isalnum():
                    assert ids == hub.encode(text, add_special_tokens=False)

        agree()


def test_a_saved_recipe_builds_the_same_pair(built, tmp_path):
    root, build = built
    directory, manifest = build("llama3", "smollm2")
    recipe = root / f"{directory.name}.toml"
    content = tomllib.loads(recipe.read_text("utf-8"))
    assert content["limits"] == manifest.limits.model_dump()
    assert "<|start_header_id|>" in json.dumps(content["reasoner"]["prompt"])
    assert main(["build", str(recipe), "--out", str(tmp_path / "again")]) == 0
    again = load_manifest(tmp_path / "again")
    named = {"made_with": f"duet-cloud pairs build {manifest.id}"}
    assert again == manifest.model_copy(update=named)


@pytest.mark.parametrize("missing", ["reasoner", "decoder"])
def test_what_cannot_be_derived_is_named(built, missing, tmp_path, capsys):
    """A reasoner without a chat template, a decoder that llama.cpp cannot read."""
    root, _ = built
    broken = tmp_path / missing
    models.write_hub_model(broken, "smollm2")
    (broken / "chat_template.jinja").unlink()
    gguf = root / "qwen3-gguf" / "qwen3.gguf"
    arguments = ["--reasoner", str(broken), "--decoder", str(gguf)]
    if missing == "decoder":
        arguments = ["--reasoner", str(root / "qwen3"), "--decoder", str(broken)]
    capsys.readouterr()
    assert main(["build", *arguments, "--out", str(tmp_path / "out")]) == 6
    printed = capsys.readouterr().err
    assert len(printed.splitlines()) == 1
    wanted = "has no chat template" if missing == "reasoner" else "holds no GGUF file"
    assert wanted in printed
    assert not (tmp_path / "out").exists()
