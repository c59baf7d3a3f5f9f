"""`duet-train pair OUT`: a pair of tiny random models, to try the trainer without a GPU.

Two Llama models (some 50,000 and 20,000 parameters) over bytes and a few pairs of them, cut as
GPT-2 cuts text, so that vLLM and llama.cpp read them, too; no pad token, no chat template. They
know nothing and learn nothing useful; everything else is as with a real pair.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_SPECIAL = ("<|end|>", "<|user|>", "<|assistant|>", "<think>", "</think>")
_MERGES = (("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("i", "n"), ("Ġ", "a"), ("o", "n"))
_ASK = " Let's think step by step and output the final answer within \\boxed{}."


def make_tiny_pair(out: Path, *, alike: bool = True, heads: int = 2) -> Path:
    """Write both models and `pair.yaml` under `out`; return the latter's path.

    Unless they are `alike`, the decoder has another vocabulary, so that signals travel as text.
    Both have so many attention heads.
    """
    import torch
    import yaml
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    for name, width, offset in (("reasoner", 64, 0), ("decoder", 32, 0 if alike else 3)):
        tokenizer = _tokenizer(offset)
        torch.manual_seed(width)
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=width,
            num_hidden_layers=2,
            num_attention_heads=heads,
            num_key_value_heads=1,
            max_position_embeddings=1024,
            eos_token_id=tokenizer.convert_tokens_to_ids("<|end|>"),
            bos_token_id=None,
            tie_word_embeddings=False,
        )
        LlamaForCausalLM(config).save_pretrained(out / name)
        tokenizer.save_pretrained(out / name)
    file = out / "pair.yaml"
    file.write_text(yaml.safe_dump(_pair(), sort_keys=False, allow_unicode=True), "utf-8")
    return file


def _tokenizer(offset: int) -> PreTrainedTokenizerFast:
    """Byte pairs and a few control tokens; `offset` unused tokens make another vocabulary."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    fillers = [f"filler-{index}" for index in range(offset)]
    pairs = [left + right for left, right in _MERGES]
    words = [*_SPECIAL, *fillers, *sorted(pre_tokenizers.ByteLevel.alphabet()), *pairs]
    vocabulary = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=list(_MERGES)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in _SPECIAL])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")


def _pair() -> dict[str, Any]:
    user, question = {"template": "<|user|>"}, {"slot": "question"}
    assistant = {"template": f"{_ASK}<|end|><|assistant|>"}
    return {
        "reasoner": {
            "path": "reasoner",
            "prompt": [user, question, assistant],
            "begin_of_reasoning": "<think>",
            "end_of_reasoning": "</think>",
            "end_of_text": ["<|end|>"],
        },
        "decoder": {
            "path": "decoder",
            "prompt_with_signal": [
                user,
                question,
                {"template": f"{_ASK}<|end|><|assistant|><think>"},
                {"slot": "signal"},
                {"template": "</think>"},
            ],
            "prompt_alone": [user, question, assistant],
            "end_of_answer": ["<|end|>"],
        },
    }
