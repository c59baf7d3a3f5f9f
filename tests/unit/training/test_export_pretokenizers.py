"""Which ways of cutting text llama.cpp knows."""

import json

import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from duet_training.errors import ExportError
from duet_training.export.tokenizers import _LLAMA3, _QWEN2, pretokenizer_of

BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False)
RAW = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def _written(directory, pre_tokenizer, model=None):
    tokenizer = Tokenizer(model or models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory


@pytest.mark.parametrize(
    ("pre_tokenizer", "name"),
    [
        (BYTES, "gpt-2"),
        (pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), BYTES]), "smollm"),
        (
            pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(_QWEN2), "isolated"), RAW]),
            "qwen2",
        ),
        (
            pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(_LLAMA3), "isolated"), RAW]),
            "llama-bpe",
        ),
        (RAW, None),
        (pre_tokenizers.ByteLevel(add_prefix_space=True), None),
        (pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=False), BYTES]), None),
        (pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(_QWEN2), "removed"), RAW]), None),
    ],
)
def test_known_ways(tmp_path, pre_tokenizer, name):
    assert pretokenizer_of(_written(tmp_path, pre_tokenizer)) == name


@pytest.mark.parametrize(
    ("pre_tokenizer", "model"),
    [
        (pre_tokenizers.Metaspace(), models.Unigram([("<unk>", 0.0), ("▁a", -1.0)], 0)),
        (pre_tokenizers.Whitespace(), models.BPE()),
        (pre_tokenizers.Whitespace(), models.WordLevel({"a": 0}, "a")),
    ],
)
def test_other_kinds_are_refused_in_one_line(tmp_path, pre_tokenizer, model):
    with pytest.raises(ExportError, match=r"kind (Unigram|BPE|WordLevel).*take byte-level BPE"):
        pretokenizer_of(_written(tmp_path, pre_tokenizer, model))


def test_no_pre_tokenizer_at_all(tmp_path):
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE"}}))
    with pytest.raises(ExportError, match="byte-level BPE"):
        pretokenizer_of(tmp_path)
