"""Small real tokenizers, trained on the spot, with the pre-tokenizers of well-known families."""

from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.trainers import BpeTrainer

from duet_contract.manifest import Vocabulary
from duet_contract.vocabulary import HubTokenizer, vocabulary_of

QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEXT = [
    "the quick brown fox jumps over the lazy dog. so the answer is 42.\n\nstep 1: add 3 + 4 = 7\n",
    "Tom has 3 apples and buys 5 more apples. That makes 8 apples, doesn't it?\n  indented  line\n",
    "un été à Paris, naïve café; Größe, größer; 数学の問題を解く。 Привет мир! 🙂\t tabs\r\nlines",
] * 8
# Both kinds: marked special, and merely added, which `encode_special_tokens` does not hold back.
SPECIAL, ADDED = ["<|im_start|>", "<|im_end|>"], ["<think>", "</think>"]


def build(family: str, directory: Path) -> tuple[HubTokenizer, Vocabulary]:
    """A tokenizer of `family` (`gpt2`, `smollm`, `qwen`), written to and read from `directory`."""
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=family != "qwen")
    if family == "gpt2":
        tokenizer.pre_tokenizer = byte_level
    elif family == "smollm":
        digits = pre_tokenizers.Digits(individual_digits=True)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])
    else:
        split = pre_tokenizers.Split(Regex(QWEN), behavior="isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=600,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in ADDED])
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    return HubTokenizer.from_directory(directory), vocabulary_of(directory / "tokenizer.json")
