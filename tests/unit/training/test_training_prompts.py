"""Prompts of a pair in training: what the contract builds, and signals cut out of responses."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from duet_contract.errors import PromptError
from duet_training.data.rows import Problem
from duet_training.data.selection import fitting
from duet_training.data.sets import BARE, SETS
from duet_training.errors import ConfigError
from duet_training.pair.description import load_pair, read_pair
from duet_training.pair.differences import differences
from duet_training.pair.prompting import PairPrompts


def _ids(prompts, text):
    return prompts._reasoner.encode(text, add_special_tokens=False).ids


def test_question_text_never_becomes_a_control_token(prompts):
    ids = prompts.reasoner("what is <|end|></think> 2+2?")
    text = prompts._reasoner.decode(ids, skip_special_tokens=False)
    assert text.startswith("<|user|>what is <|end|></think> 2+2? Let's think")
    # The format's own: the user's turn, its end, and the assistant's turn.
    assert sum(token in prompts._control for token in ids) == 3


@pytest.mark.parametrize(
    ("response", "signal"),
    [
        ("<think>2+2=4</think>so 4<|end|>", "2+2=4"),
        ("2+2=4</think>so 4<|end|>", "2+2=4"),
        ("just text<|end|>", "just text"),
        ("</think>4<|end|>", ""),
        ("<think>a<|user|>b</think>", "ab"),
    ],
)
def test_signal_of_a_response(prompts, response, signal):
    assert prompts.signal_text(prompts.signal(_ids(prompts, response))) == signal


def test_guided_prompt_holds_the_signal_as_it_is(prompts):
    signal = _ids(prompts, "2+2=4")
    ids = prompts.guided("2+2?", signal)
    assert prompts.shared_vocabulary
    assert ids[-len(signal) - 1 : -1] == signal


def test_signal_travels_as_text_between_vocabularies(text_prompts):
    prompts = text_prompts
    assert not prompts.shared_vocabulary
    ids = prompts.guided("2+2?", _ids(prompts, "2 + 2 = 4"))
    text = prompts._decoder.decode(ids, skip_special_tokens=False)
    assert text.endswith("<think>2 + 2 = 4</think>")


def test_empty_question_is_refused(prompts):
    with pytest.raises(PromptError):
        prompts.reasoner("  ")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"path": "nowhere"}, "config.json"),
        ({"prompt": [{"template": "x"}]}, "must have 'question' as slots"),
        ({"surprise": 1}, "surprise"),
        ({"end_of_text": []}, "end_of_text"),
    ],
)
def test_a_bad_pair_is_one_line(pair_file, tmp_path, change, says):
    data = yaml.safe_load(pair_file.read_text())
    data["reasoner"]["path"] = str(pair_file.parent / "reasoner")
    data["reasoner"].update(change)
    file = tmp_path / "pair.yaml"
    file.write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError, match=says) as caught:
        load_pair(file)
    assert "\n" not in str(caught.value)


def test_pad_token_and_chat_template_play_no_part(pair_file, prompts, tmp_path):
    """A tokenizer without them, and one with misleading ones, give the same token ids."""
    home = tmp_path / "with"
    shutil.copytree(pair_file.parent, home)
    for name in ("reasoner", "decoder"):
        file = home / name / "tokenizer_config.json"
        settings = json.loads(file.read_text())
        assert not settings.get("pad_token")
        assert not settings.get("chat_template")
        settings |= {"pad_token": "<think>", "chat_template": "{{ raise_exception('no') }}"}
        file.write_text(json.dumps(settings))
    other = PairPrompts(load_pair(home / "pair.yaml"))
    signal = _ids(prompts, "2+2=4")
    assert other.reasoner("2+2?") == prompts.reasoner("2+2?")
    assert other.alone("2+2?") == prompts.alone("2+2?")
    assert other.guided("2+2?", signal) == prompts.guided("2+2?", signal)


def test_a_model_that_is_no_directory_is_looked_for_on_the_hub(pair_file, tmp_path, monkeypatch):
    data = yaml.safe_load(pair_file.read_text())
    data["reasoner"]["path"], data["decoder"]["path"] = "Some/Reasoner", "Some/Decoder"
    file = tmp_path / "pair.yaml"
    file.write_text(yaml.safe_dump(data))
    asked = []

    def snapshot(repository, *, allow_patterns, local_files_only):
        asked.append(repository)
        return str(pair_file.parent / repository.split("/")[1].lower())

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert load_pair(file).decoder.path == pair_file.parent / "decoder"
    assert asked == ["Some/Reasoner", "Some/Decoder"]

    def nothing(*_, **__):
        raise OSError("no route\nto the hub")

    monkeypatch.setattr("huggingface_hub.snapshot_download", nothing)
    with pytest.raises(ConfigError, match="cannot fetch Some/Reasoner from the hub: no route;"):
        load_pair(file)


def test_end_token_must_be_a_token(pair_file):
    pair = load_pair(pair_file)
    reasoner = pair.reasoner.model_copy(update={"end_of_reasoning": "</thought>"})
    with pytest.raises(ConfigError, match="</thought>"):
        PairPrompts(pair.model_copy(update={"reasoner": reasoner}))


def _as_released(pair_file, tmp_path):
    """The tiny pair with the released code's choices."""
    data = yaml.safe_load(pair_file.read_text())
    for name in ("reasoner", "decoder"):
        data[name]["path"] = str(pair_file.parent / name)
    question, signal = {"slot": "question"}, {"slot": "signal"}
    data["reasoner"]["prompt"] = [{"template": "<|user|>"}, question, {"template": "<|assistant|>"}]
    data["decoder"]["prompt_with_signal"] = [
        {"template": "user\n"},
        question,
        {"template": "\nassistant\n<think>"},
        signal,
        {"template": "</think>"},
    ]
    data |= {"instruction": "data", "tokenized": "whole", "answers": "computed"}
    file = tmp_path / "pair.yaml"
    file.write_text(yaml.safe_dump(data))
    return file


def test_the_released_form_tokenizes_whole_prompts_and_strips_nothing(pair_file, tmp_path):
    prompts = PairPrompts(load_pair(_as_released(pair_file, tmp_path)))
    signal = prompts.signal(_ids(prompts, "<think>\n the sum</think>4<|end|>"))
    assert prompts.signal_text(signal) == "\n the sum"
    guided = prompts.guided("2+2? t", signal)
    assert guided == _ids(prompts, "user\n2+2? t\nassistant\n<think>\n the sum</think>")
    # A token goes across the end of the question, which parts tokenized apart never do.
    whole = prompts.guided("what t", _ids(prompts, "he"))
    assert prompts._decoder.decode(whole).startswith("user")
    assert prompts.reasoner("a<|end|>") == _ids(prompts, "<|user|>a<|end|><|assistant|>")
    assert not prompts.computed


def test_an_instruction_is_the_pairs_or_the_rows(prompts, pair_file, tmp_path):
    released = PairPrompts(load_pair(_as_released(pair_file, tmp_path)))
    plain, asked = (
        Problem("set/0", "2+2?", "4", "set"),
        Problem("set/1", "2?", "4", "set", asks=BARE),
    )
    assert asked.for_decoder == "2?"
    assert asked.for_reasoner == (
        r"2? Let's think step by step and output the final answer within \boxed{}."
    )
    assert fitting([asked], released, 200) == ([asked], 0)
    for built, problem, said in (
        (released, plain, "set/0 has no instruction, and the pair's `instruction` is 'data'"),
        (prompts, asked, "set/1 has its own instruction, and the pair's `instruction` is 'pair'"),
    ):
        with pytest.raises(ConfigError, match=said) as caught:
            fitting([problem], built, 200)
        assert "duet-train data prepare" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_the_released_pair_is_the_papers():
    """By the facts of the released code: who opens the reasoning, what the decoder reads."""
    pair = read_pair(Path("qwen3-4b-0.6b-released"))
    assert pair.reasoner.prompt[-1].template.endswith("<|im_start|>assistant\n")
    parts = [getattr(p, "template", None) for p in pair.decoder.prompt_with_signal]
    assert parts == ["user\n", None, "\nassistant\n<think>\n", None, "\n</think>"]
    for name in ("deepscaler", "dapo-math-17k", "limo"):
        assert SETS[name].asks.decoder == "QUESTION"
    assert SETS["math-lighteval"].asks.decoder == SETS["math-lighteval"].asks.reasoner
    table = differences()
    assert r"`user\n{question}\nassistant\n<think>\n{signal}\n</think>`" in table
    assert "deepscaler, dapo-math-17k, limo" in table
