"""New vocabularies, in each known way of cutting text: the same tokens in llama.cpp."""

import json

import gguf
import pytest
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from duet_training.errors import ExportError
from duet_training.export.tokenizers import (
    _LLAMA3,
    _QWEN2,
    STRINGS,
    check_tokenizers,
    pretokenizer_of,
)
from duet_training.pair.description import DecoderModel

BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False)
RAW = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
WAYS = {
    "gpt-2": BYTES,
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), BYTES]),
    "qwen2": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(_QWEN2), "isolated"), RAW]),
    "llama-bpe": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(_LLAMA3), "isolated"), RAW]),
}
TEXTS = [
    "Tom has 12 apples and buys 345 more for $6.50; how many has he now?",
    "so 12 + 345 = 357, that's  it.\n\nThe answer is \\boxed{357}",
]


def _model(directory, way):
    """A vocabulary trained on a few lines, with all their merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = way, decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|end|>", "<think>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*STRINGS, *TEXTS] * 3, trainer)
    tokenizer.save(str(directory / "tokenizer.json"))
    question, signal = {"slot": "question"}, {"slot": "signal"}
    return DecoderModel(
        path=directory,
        prompt_with_signal=[question, {"template": "<think>"}, signal],
        prompt_alone=[question],
        end_of_answer=["<|end|>"],
    )


def _gguf(model, name):
    """The vocabulary alone, in the way of `name`."""
    tokenizer = Tokenizer.from_file(str(model.path / "tokenizer.json"))
    tokens = [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())]
    content = gguf.GGUFWriter(model.path / "vocabulary.gguf", "llama")
    content.add_tokenizer_model("gpt2")
    content.add_tokenizer_pre(name)
    content.add_token_list(tokens)
    special = tokenizer.get_added_tokens_decoder()
    kinds = (gguf.TokenType.NORMAL, gguf.TokenType.CONTROL)
    content.add_token_types([kinds[i in special] for i in range(len(tokens))])
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    assert len(merges) > 100
    content.add_token_merges([" ".join(pair) for pair in merges])
    content.write_header_to_file()
    content.write_kv_data_to_file()
    content.close()
    return model.path / "vocabulary.gguf"


@pytest.mark.parametrize("name", WAYS)
def test_llama_cpp_cuts_as_the_tokenizer_does(tmp_path, name):
    model = _model(tmp_path, WAYS[name])
    assert pretokenizer_of(tmp_path) == name
    check_tokenizers(_gguf(model, name), model, TEXTS)


def test_another_way_of_cutting_is_told(tmp_path):
    model = _model(tmp_path, WAYS["gpt-2"])  # has tokens of several digits
    with pytest.raises(ExportError, match=r"llama\.cpp cuts .* into other tokens"):
        check_tokenizers(_gguf(model, "smollm"), model, TEXTS)
