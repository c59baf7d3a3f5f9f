"""What export runs in other processes: the converter's source, vLLM under its own interpreter."""

import json
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from duet_training.errors import ExportError
from duet_training.export import converter
from duet_training.export.merge import write_model
from duet_training.export.serving import serve, serving_interpreter
from duet_training.pair.description import empty_model

PROMPTS, RESPONSES = [[1, 2]], [[3, 4]]


def _serve(interpreter, model):
    return serve(interpreter, model, PROMPTS, RESPONSES, stops=[0], limit=8, top=2, seconds=60)


@pytest.mark.parametrize("end", ["", "kill -ABRT $$\n"])
def test_what_vllm_is_asked_and_what_it_says(end, tmp_path):
    """An interpreter that keeps the request, answers what vLLM would, and may abort after that."""
    answer = {
        "version": "1.0",
        "dtype": "bfloat16",
        "responses": [[5]],
        "log_probs": [[{"3": -0.5, "7": -1.5}, {"4": -0.25, "8": -2.0}]],
    }
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    interpreter = tmp_path / "python"
    # Called as: python -P SCRIPT REQUEST RESULT
    interpreter.write_text(
        f'#!/bin/sh\ncp "$3" {tmp_path}/asked.json\ncp {tmp_path}/answer.json "$4"\n{end}'
    )
    interpreter.chmod(0o755)
    served = _serve(serving_interpreter(interpreter), tmp_path / "reasoner")
    assert served.responses == [[5]]
    assert served.log_probs == [[{3: -0.5, 7: -1.5}, {4: -0.25, 8: -2.0}]]
    asked = json.loads((tmp_path / "asked.json").read_text())
    assert asked["model"] == str(tmp_path / "reasoner")
    assert (asked["prompts"], asked["responses"]) == (PROMPTS, RESPONSES)
    assert (asked["stops"], asked["limit"], asked["top"]) == ([0], 8, 2)


@pytest.mark.parametrize(
    ("end", "said"), [("echo 'OSError: no' >&2; exit 1", "OSError: no"), ("", "without an answer")]
)
def test_an_engine_that_does_not_answer_is_told(end, said, tmp_path):
    interpreter = tmp_path / "python"
    interpreter.write_text(f"#!/bin/sh\n{end}\n")
    interpreter.chmod(0o755)
    with pytest.raises(ExportError, match=f"cannot serve the exported reasoner: .*{said}"):
        _serve(interpreter, tmp_path)


def test_an_interpreter_without_vllm_is_told(tmp_path):
    if serving_interpreter(None) is not None:
        pytest.skip("this interpreter has vLLM")
    with pytest.raises(ExportError, match=r"cannot serve the exported reasoner: .*'vllm'"):
        _serve(Path(sys.executable), tmp_path)


def test_an_interpreter_that_is_not_there(tmp_path):
    with pytest.raises(ExportError, match="is not an interpreter"):
        serving_interpreter(tmp_path / "none")


def test_a_converter_of_ones_own(tmp_path):
    source = tmp_path / "llama_cpp_python/vendor/llama.cpp"
    source.mkdir(parents=True)
    with pytest.raises(ExportError, match=r"has no convert_hf_to_gguf\.py"):
        converter.converter_directory(tmp_path / "llama_cpp_python")
    (source / "convert_hf_to_gguf.py").touch()
    assert converter.converter_directory(tmp_path / "llama_cpp_python") == source
    assert converter.converter_directory(source) == source


def test_offline_the_converter_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(converter, "user_cache_path", lambda _: tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ExportError, match=r"cannot fetch .*converter=DIR"):
        converter.converter_directory(None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("saved", ["both", "one"])
def test_tied_weights_stay_tied(tmp_path, saved):
    """Small models share input and output layer; a checkpoint may hold it once or twice."""
    config = LlamaConfig(
        vocab_size=16,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        eos_token_id=1,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).eval()
    model.save_pretrained(tmp_path / "model")
    weights = {name: weight.detach() for name, weight in model.state_dict().items()}
    if saved == "one":
        del weights["lm_head.weight"]
    assert "lm_head.weight" in empty_model(tmp_path / "model").state_dict()
    write_model(weights, tmp_path / "model", tmp_path / "out", None, [5])
    read = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    ids = torch.tensor([[3, 4, 5]])
    assert torch.equal(read(ids).logits, model(ids).logits)
    assert read.lm_head.weight.data_ptr() == read.model.embed_tokens.weight.data_ptr()
    assert read.generation_config.eos_token_id == [1, 5]
