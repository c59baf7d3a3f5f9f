"""A run becomes a pair: shards, GGUF, manifest, parity; and the errors."""

import json
import os
import re
import resource
import shutil
import subprocess
from contextlib import contextmanager

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Regex, Tokenizer, pre_tokenizers
from transformers import AutoModelForCausalLM

from duet_contract.integrity import verify_files
from duet_contract.manifest import load_manifest
from duet_training.errors import CheckpointError, ExportError
from duet_training.export import build, gguf_files
from duet_training.export.converter import converter_directory
from duet_training.export.merge import merge_shards
from duet_training.export.tokenizers import check_tokenizers
from duet_training.pair.description import load_pair
from tests.doubles.commands import train_data as prepare
from tests.doubles.commands import train_export as export
from tests.doubles.runs import write_run, write_shards

# Random models are never sure of a token, so the most likely one says little.
LOOSE = [
    *("parity.min_top1.reasoner=0.7", "parity.min_top1.Q8=0.7", "parity.min_top1.Q4=0.3"),
    # Threads of llama.cpp that wait for each other on a busy machine take their time.
    *("threads=1", "parity.questions=4"),
]
# The interpreter of an environment that has vLLM: SERVING_PYTHON=.venv/bin/python.
SERVING = "SERVING_PYTHON"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("export")
    rows = [{"question": f"what is {i} + 2?", "answer": str(i + 2)} for i in range(8)]
    (home / "own.jsonl").write_text("\n".join(map(json.dumps, rows)))
    command = ["jsonl", "--from", str(home / "own.jsonl"), "--out", str(home / "data")]
    assert prepare([*command, "--verifier", "tests.doubles.verifiers:DigitVerifier"]) == 0
    write_run(home, home / "data/train.parquet", ranks=2)
    return home


@pytest.fixture(scope="module")
def pair(home):
    """Exported once: three ways to write the decoder; compared in vLLM where one is named."""
    command = [str(home / "run"), str(home / "pair-out"), *LOOSE, "id=tiny", "keep_decoder=true"]
    if SERVING in os.environ:
        command += [f"parity.serving_python={os.environ[SERVING]}", "parity.min_top1.vllm=0.7"]
    assert export(command) == 0
    return home / "pair-out"


@pytest.fixture
def converted(pair, monkeypatch):
    """Takes the decoder converted before; the converter alone takes seconds."""

    def copy(model, target, kind, converter):
        shutil.copyfile(pair / f"decoder/model.{kind}.gguf", target)

    monkeypatch.setattr(gguf_files, "convert", copy)


def test_the_pair_is_what_its_manifest_says(pair):
    manifest = load_manifest(pair)
    assert manifest.reference == "tiny@1.0.0"
    assert manifest.shared_vocabulary
    assert manifest.decoder.path == "decoder/model.Q8_0.gguf"
    assert (manifest.limits.question, manifest.limits.budget, manifest.limits.answer) == (
        150,
        24,
        16,
    )
    verify_files(pair, (*manifest.reasoner.files, *manifest.decoder.files))
    # The block of reasoning is opened in the prompt; the service stops where it closes.
    assert manifest.reasoner.prompt[-1].template == "<think>"
    assert manifest.reasoner.end_of_reasoning == "</think>"
    (evaluation,) = manifest.evaluation
    assert evaluation.questions == 4
    for kind in ("F16", "Q8_0", "Q4_K_M"):
        other = json.loads((pair / f"manifests/{kind}.json").read_text())
        assert other["decoder"]["path"] == f"decoder/model.{kind}.gguf"
    assert {path.name for path in pair.iterdir()} == {
        *("manifest.json", "manifests", "model.sig", "parity.json", "reasoner", "decoder"),
        "merged",
    }
    generation = json.loads((pair / "reasoner/generation_config.json").read_text())
    assert generation["eos_token_id"] == [0]


def test_weights_are_those_of_the_checkpoint(home, pair):
    merged = merge_shards(home / "run/checkpoints/step_3/reasoner", home / "pair/reasoner")
    written = load_file(pair / "reasoner/model.safetensors")
    assert merged.keys() == written.keys()
    for name, weight in merged.items():
        assert weight.dtype == torch.float32
        assert torch.equal(weight.bfloat16(), written[name]), name
    began = load_file(home / "pair/reasoner/model.safetensors")
    assert not torch.equal(began["lm_head.weight"], merged["lm_head.weight"])


def test_the_decoder_is_kept_for_transformers(home, pair):
    merged = merge_shards(home / "run/checkpoints/step_3/decoder", home / "pair/decoder")
    kept = AutoModelForCausalLM.from_pretrained(pair / "merged/decoder").state_dict()
    assert {name: weight.dtype for name, weight in kept.items()} == {
        name: weight.dtype for name, weight in merged.items()
    }
    assert all(torch.equal(kept[name], weight) for name, weight in merged.items())
    assert (pair / "merged/decoder/tokenizer.json").is_file()


def test_parity_is_measured_per_quantisation(pair):
    report = json.loads((pair / "parity.json").read_text())
    f16, q8, q4 = (report["decoder"][kind] for kind in ("F16", "Q8_0", "Q4_K_M"))
    assert 0 <= f16["mean_kl"] < 1e-4
    assert f16["mean_kl"] < q8["mean_kl"] < q4["mean_kl"] < 0.25
    assert f16["top1_agreement"] > 0.99
    assert f16["types"]["F16"] > 0
    assert q8["types"]["Q8_0"] > 0
    assert q8["bytes"] < f16["bytes"]
    for row in (f16, q8, q4):
        low, high = row["accuracy_95"]
        assert low <= row["accuracy"] <= high
        assert row["accuracy_drop"] == pytest.approx(
            report["trained"]["accuracy"] - row["accuracy"]
        )
    assert f16["greedy_agreement"] > 0.8
    assert 0 < report["reasoner"]["files"]["mean_kl"] < 0.02
    assert report["beyond"] == []


def test_beyond_parity_nothing_is_exported(home, converted, capsys):
    out = home / "beyond"
    command = [str(home / "run"), str(out), *LOOSE, "quantizations=[F16,Q4_K_M]", "decoder=F16"]
    assert export([*command, "parity.max_kl.Q4=1e-6"]) == 3
    error = capsys.readouterr().err
    assert "beyond parity: Q4_K_M: mean KL" in error
    assert "is above 1e-06" in error
    assert not out.exists()
    kept = json.loads((home / "beyond.parity.json").read_text())
    assert len(kept["beyond"]) == 1
    vllm = kept["reasoner"]["vllm"]
    assert vllm["measured"] is False
    assert "parity.serving_python" in vllm["why"]
    # Or a warning, if that is wanted.
    assert export([*command, "parity.max_kl.Q4=1e-6", "parity.on_excess=warn"]) == 0
    assert "WARNING: Q4_K_M: mean KL" in capsys.readouterr().out
    assert load_manifest(out).decoder.path == "decoder/model.F16.gguf"


@pytest.mark.engine
@pytest.mark.skipif(SERVING not in os.environ, reason="names no interpreter")
def test_vllm_reads_what_was_exported(pair):
    vllm = json.loads((pair / "parity.json").read_text())["reasoner"]["vllm"]
    assert vllm["measured"] is True
    assert 0 <= vllm["mean_kl"] < 0.05


@pytest.mark.engine
@pytest.mark.skipif(SERVING not in os.environ, reason="names no interpreter")
def test_what_was_exported_answers_as_a_pair(pair):
    """As processes: the service with vLLM, the device with llama.cpp. Half a minute."""
    command = [os.environ[SERVING], "-m", "duet_tools", "demo", "--pair", str(pair)]
    done = subprocess.run(
        [*command, "what is 3 + 2?"],
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        timeout=400,
        check=False,
    )
    said = done.stderr.decode()
    assert done.returncode == 0, said
    assert re.search(r"^\d+ large-model tokens", said, re.MULTILINE), said


def _fails(home, out, capsys, *overrides):
    """The one line that an export fails with; nothing may be left of it."""
    before = {path.name for path in home.iterdir()}
    assert export([str(home / "run"), str(out), *overrides]) == 1
    assert {path.name for path in home.iterdir()} == before
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    return error


def test_an_export_is_not_overwritten(home, pair, capsys):
    assert f"{pair} exists" in _fails(home, pair, capsys)


def test_an_unknown_quantisation(home, capsys):
    assert "has no quantization 'Q5_X'" in _fails(home, home / "x", capsys, "quantizations=[Q5_X]")


def test_what_llama_cpp_cannot_quantise(pair, tmp_path):
    half = tmp_path / "half.gguf"
    half.write_bytes((pair / "decoder/model.F16.gguf").read_bytes()[:2000])
    with pytest.raises(ExportError, match=r"cannot quantize half\.gguf to Q8_0"):
        gguf_files.quantize(half, tmp_path / "out.gguf", "Q8_0", 1)
    assert not (tmp_path / "out.gguf").exists()


def test_a_checkpoint_of_another_architecture(home, tmp_path, capsys):
    pair = tmp_path / "pair"
    shutil.copytree(home / "pair", pair)
    config = json.loads((pair / "reasoner/config.json").read_text())
    (pair / "reasoner/config.json").write_text(json.dumps({**config, "intermediate_size": 32}))
    error = _fails(home, home / "x", capsys, f"pair={pair}/pair.yaml")
    assert "is of another architecture than" in error
    assert "mlp.down_proj.weight is (64, 64) there and (64, 32) here" in error


def test_a_damaged_shard(home, tmp_path):
    shards = tmp_path / "reasoner"
    shutil.copytree(home / "run/checkpoints/step_3/reasoner", shards)
    (shards / "model_world_size_2_rank_1.pt").write_bytes(b"half a file")
    with pytest.raises(CheckpointError, match="cannot merge the shards"):
        merge_shards(shards, home / "pair/reasoner")


def test_weights_that_do_not_divide_into_the_ranks(home, tmp_path):
    weights = load_file(home / "pair/decoder/model.safetensors")
    write_shards(tmp_path / "three", weights, 3)
    merged = merge_shards(tmp_path / "three", home / "pair/decoder")
    assert all(torch.equal(merged[name], weights[name]) for name in weights)


def test_too_little_room_is_told_before_the_work(home, capsys, monkeypatch):
    usage = shutil.disk_usage(home)._replace(free=1000)
    monkeypatch.setattr(build.shutil, "disk_usage", lambda _: usage)
    assert "GB free, the export needs about" in _fails(home, home / "x", capsys)


@contextmanager
def small_files(most):
    """No file of this process may grow beyond `most` bytes, as on a disk that fills up.

    For as short as can be: pytest's own output may be a file, too.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_up_while_weights_are_written(home, capsys):
    with small_files(100_000):
        said = _fails(home, home / "x", capsys)
    assert "cannot write reasoner" in said


def test_a_disk_that_fills_up_while_quantising(pair, tmp_path):
    source = pair / "decoder/model.F16.gguf"
    with small_files(20_000), pytest.raises(ExportError, match="cannot quantize"):
        gguf_files.quantize(source, tmp_path / "out.gguf", "Q8_0", 1)
    assert not (tmp_path / "out.gguf").exists()


def test_a_tokenizer_that_llama_cpp_does_not_know(home, tmp_path):
    model = tmp_path / "decoder"
    shutil.copytree(home / "pair/decoder", model)
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.save(str(model / "tokenizer.json"))
    with pytest.raises(ExportError, match="does not know how the tokenizer of decoder cuts text"):
        gguf_files.convert(model, tmp_path / "out.gguf", "F16", converter_directory(None))


def test_a_gguf_that_cuts_text_otherwise_is_refused(home, pair, tmp_path):
    """What the name of a pre-tokenizer promises is checked, not believed."""
    model = load_pair(home / "pair/pair.yaml").decoder
    file = pair / "decoder/model.F16.gguf"
    check_tokenizers(file, model, ["what is 1 + 2?"])
    other = tmp_path / "decoder"
    shutil.copytree(model.path, other)
    tokenizer = Tokenizer.from_file(str(other / "tokenizer.json"))
    digits = pre_tokenizers.Split(Regex("t"), "isolated")  # "the" is never merged
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, tokenizer.pre_tokenizer])
    tokenizer.save(str(other / "tokenizer.json"))
    with pytest.raises(ExportError, match=r"llama\.cpp cuts .* into other tokens"):
        check_tokenizers(file, model.model_copy(update={"path": other}), ["take the other"])
