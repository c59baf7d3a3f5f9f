"""Tiny models of well-known families with random weights, in the layouts that pairs are built from."""

import json
from dataclasses import dataclass
from pathlib import Path

import gguf
import torch
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedTokenizerFast
from transformers.models.gemma3 import Gemma3TextConfig
from transformers.models.llama import LlamaConfig
from transformers.models.qwen3 import Qwen3Config

from tests.doubles import vocabularies
from tests.doubles.chat_templates import FAMILIES

HIDDEN, HEADS, LAYERS, HEAD_SIZE, CONTEXT = 64, 2, 2, 32, 32768


@dataclass(frozen=True)
class _Layout:
    """How a family's models and tokenizers are written."""

    config: type[PretrainedConfig]
    """Class of the model's configuration."""
    vocabulary: str
    """Family of `vocabularies.build`."""
    architecture: gguf.MODEL_ARCH
    """The model's architecture in GGUF."""
    cuts: str | None
    """llama.cpp's name of the pre-tokenizer; None: a SentencePiece tokenizer."""


_LAYOUTS = {
    "qwen3": _Layout(Qwen3Config, "qwen", gguf.MODEL_ARCH.QWEN3, "qwen2"),
    "llama3": _Layout(LlamaConfig, "llama3", gguf.MODEL_ARCH.LLAMA, "llama-bpe"),
    "smollm2": _Layout(LlamaConfig, "smollm", gguf.MODEL_ARCH.LLAMA, "smollm"),
    "gemma": _Layout(Gemma3TextConfig, "gemma", gguf.MODEL_ARCH.GEMMA3, None),
}


def write_hub_model(directory: Path, name: str = "qwen3") -> None:
    """A model of about 100 thousand parameters as a Hugging Face model directory."""
    family, layout = FAMILIES[name], _LAYOUTS[name]
    tokenizer, vocabulary = vocabularies.build(
        layout.vocabulary, directory, family.special, family.added
    )
    end = family.special[-1]
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer._tokenizer, bos_token=family.begin, eos_token=end, pad_token=end
    )
    wrapped.chat_template = family.template
    wrapped.save_pretrained(directory)
    torch.manual_seed(0)
    config = layout.config(
        vocab_size=vocabulary.size,
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        head_dim=HEAD_SIZE,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.encode_template(end)[0],
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(directory)


def write_gguf_model(directory: Path, path: Path, name: str = "qwen3") -> None:
    """The model of `directory` (`write_hub_model`) as GGUF, tensors by llama.cpp's names."""
    family, layout = FAMILIES[name], _LAYOUTS[name]
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(directory)
    vocab = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    tokens = [token for token, _ in vocab]
    config = model.config
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[layout.architecture])
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(2 * HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_key_length(HEAD_SIZE)
    writer.add_value_length(HEAD_SIZE)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if name == "gemma":
        writer.add_sliding_window(config.sliding_window)
        writer.add_rope_freq_base(config.rope_parameters["full_attention"]["rope_theta"])
    else:
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    if layout.cuts:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(layout.cuts)
        writer.add_token_merges(_merges(directory))
    else:
        writer.add_tokenizer_model("llama")
        writer.add_token_scores([-float(number) for number in range(len(tokens))])
        writer.add_add_space_prefix(False)
    writer.add_token_list(tokens)
    writer.add_token_types([_kind(token, family.special, family.added) for token in tokens])
    if family.begin:
        writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_chat_template(family.template)
    names = gguf.get_tensor_name_map(layout.architecture, LAYERS)
    for tensor, weight in model.state_dict().items():
        if tensor != "lm_head.weight":
            target = names.get_name(tensor, try_suffixes=(".weight",))
            assert target, tensor
            writer.add_tensor(target, weight.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _kind(token: str, special: list[str], added: list[str]) -> gguf.TokenType:
    if token in special:
        return gguf.TokenType.CONTROL
    if token in added:
        return gguf.TokenType.USER_DEFINED
    if token == "<unk>":
        return gguf.TokenType.UNKNOWN
    if token.startswith("<0x"):
        return gguf.TokenType.BYTE
    return gguf.TokenType.NORMAL


def _merges(directory: Path) -> list[str]:
    model = json.loads((directory / "tokenizer.json").read_text("utf-8"))["model"]
    return [" ".join(pair) for pair in model["merges"]]
