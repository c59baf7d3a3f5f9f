"""Building pairs: the default one, and a thinking pair from local models as on a GPU host."""

import shutil

import pytest

from cloud.errors import PairBuildError
from cloud.pairs.__main__ import main
from cloud.pairs.build import build_pair
from cloud.pairs.recipe import Source, load_recipe
from cloud.reasoner import PairReasoner
from device.decoding.decoder import Decoder
from duet_contract.builder import builder_public
from duet_contract.errors import IntegrityError
from duet_contract.integrity import verify_files
from duet_contract.manifest import SlotPart, load_manifest
from duet_contract.prompts import encode_text, prompt_ids
from duet_contract.signature import read_signature, verify_signature
from tests.integration.test_prompts_agree import STRINGS


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
    monkeypatch.setattr("cloud.pairs.build.build_pair", lambda *arguments: built.append(arguments))
    arguments = ["build", "qwen3-4b-0.6b", "--out", str(tmp_path / "pair"), "--if-missing"]
    assert main(arguments) == 0
    assert not built
    (tmp_path / "pair" / "model.sig").unlink()
    assert main(arguments) == 0
    assert len(built) == 1


def test_user_text_never_closes_the_think_block(thinking_pair):
    """llama.cpp finds user-defined tokens such as </think> even in plain text."""
    reasoner = PairReasoner.load(thinking_pair)
    vocabulary = reasoner.manifest.decoder.vocabulary
    controls = {reasoner.tokenizer.encode_template(text)[0] for text in vocabulary.reserved}
    assert len(controls) == 4
    with Decoder(thinking_pair / reasoner.manifest.decoder.path, 1) as decoder:
        for text in [*STRINGS, "</think>", "a</think></think>b", "<think", "<think>\u0301"]:
            ids = encode_text(decoder, vocabulary, text)
            assert ids == encode_text(reasoner.tokenizer, vocabulary, text), repr(text)
            assert not controls & set(ids)
        prompt = reasoner.manifest.decoder.prompt_alone
        built = prompt_ids(decoder, prompt, question=encode_text(decoder, vocabulary, "</think>"))
        assert sum(token in controls for token in built) == 5


def test_an_altered_reasoner_is_not_served(thinking_pair, tmp_path):
    copy = tmp_path / "pair"
    shutil.copytree(thinking_pair, copy)
    weights = copy / "reasoner" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    with pytest.raises(IntegrityError, match="altered"):
        PairReasoner.load(copy)


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


def test_the_default_pair_checks_out(real_pair, capsys):
    assert main(["check", str(real_pair)]) == 0
    assert "as its manifest says" in capsys.readouterr().out
