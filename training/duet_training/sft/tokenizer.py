"""A tokenizer trained on stories or other texts, alike in transformers, vLLM and llama.cpp.

Byte-level BPE behind Qwen2's pre-tokenizer, which llama.cpp knows by the name "qwen2": every digit
is a token of its own, so numbers are read and written place by place.
"""

import random
from collections.abc import Iterable, Iterator

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from duet_training.data.story_problems.draw import Scope, stories
from duet_training.data.story_problems.traces import REASONER, answer, draw_style, trace

END, USER, ASSISTANT = "<|end|>", "<|user|>", "<|assistant|>"
THINK, END_OF_THINKING = "<think>", "</think>"
SPECIAL = (END, USER, ASSISTANT, THINK, END_OF_THINKING)
_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# The think block is opened for the model, unless thinking is off.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ ('<|user|>' if message['role'] == 'user' else '<|assistant|>')"
    " + message['content'] + '<|end|>' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|assistant|>' }}{% if enable_thinking is not defined or enable_thinking %}"
    "{{ '<think>' }}{% endif %}{% endif %}"
)


def train_tokenizer(scope: Scope, size: int, count: int, seed: int) -> PreTrainedTokenizerFast:
    """A vocabulary of `size` from `count` stories of a scope."""
    return tokenizer_of(_texts(scope, seed, count), size)


def tokenizer_of(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """A vocabulary of `size` from texts. Other text falls back to bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(_PATTERN), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=size - len(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END)
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def _texts(scope: Scope, seed: int, count: int) -> Iterator[str]:
    rng = random.Random(f"tokenizer/{seed}")
    for _, story in zip(range(count), stories(rng, scope, "train"), strict=False):
        yield story.question
        yield trace(story, draw_style(rng, REASONER))
        yield answer(story)
