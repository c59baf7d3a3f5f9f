"""A tiny thinking model with random weights, in the layouts that pairs are built from."""

import json
from pathlib import Path

import gguf
import torch
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from tests.doubles import vocabularies

# In Qwen3's manner: the model opens its think block itself, unless thinking is off.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}"
    "{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)
HIDDEN, HEADS, LAYERS, HEAD_SIZE, CONTEXT = 64, 2, 2, 32, 32768


def write_hub_model(directory: Path) -> None:
    """A Qwen3 of about 100 thousand parameters as a Hugging Face model directory."""
    tokenizer, vocabulary = vocabularies.build("qwen", directory)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer._tokenizer, eos_token="<|im_end|>", pad_token="<|im_end|>"
    )
    wrapped.chat_template = CHAT_TEMPLATE
    wrapped.save_pretrained(directory)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=vocabulary.size,
        hidden_size=HIDDEN,
        intermediate_size=2 * HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        head_dim=HEAD_SIZE,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.encode_template("<|im_end|>")[0],
    )
    Qwen3ForCausalLM(config).save_pretrained(directory)


def write_gguf_model(directory: Path, path: Path) -> None:
    """The model of `directory` (`write_hub_model`) as GGUF, tensors by llama.cpp's names."""
    model = Qwen3ForCausalLM.from_pretrained(directory, dtype=torch.float32)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(directory)
    vocab = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    tokens = [token for token, _ in vocab]
    kinds = [
        gguf.TokenType.CONTROL
        if token in vocabularies.SPECIAL
        else gguf.TokenType.USER_DEFINED
        if token in vocabularies.ADDED
        else gguf.TokenType.NORMAL
        for token in tokens
    ]
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(2 * HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_key_length(HEAD_SIZE)
    writer.add_value_length(HEAD_SIZE)
    writer.add_rope_freq_base(model.config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(model.config.rms_norm_eps)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(_merges(directory))
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_chat_template(CHAT_TEMPLATE)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, LAYERS)
    for name, weight in model.state_dict().items():
        if name != "lm_head.weight":
            target = names.get_name(name, try_suffixes=(".weight",))
            assert target, name
            writer.add_tensor(target, weight.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _merges(directory: Path) -> list[str]:
    model = json.loads((directory / "tokenizer.json").read_text("utf-8"))["model"]
    return [" ".join(pair) for pair in model["merges"]]
