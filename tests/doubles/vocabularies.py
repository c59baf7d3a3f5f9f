"""Small real tokenizers, trained on the spot, with the pre-tokenizers of well-known families."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.trainers import BpeTrainer

from duet_contract.manifest import Vocabulary
from duet_contract.vocabulary import HubTokenizer, vocabulary_of

QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEXT = [
    "the quick brown fox jumps over the lazy dog. so the answer is 42.\n\nstep 1: add 3 + 4 = 7\n",
    "Tom has 3 apples and buys 5 more apples. That makes 8 apples, doesn't it?\n  indented  line\n",
    "un été à Paris, naïve café; Größe, größer; 数学の問題を解く。 Привет мир! 🙂\t tabs\r\nlines",
] * 8
# Both kinds: marked special, and merely added, which `encode_special_tokens` does not hold back.
SPECIAL, ADDED = ["<|im_start|>", "<|im_end|>"], ["<think>", "</think>"]


def build(
    family: str,
    directory: Path,
    special: Sequence[str] = SPECIAL,
    added: Sequence[str] = ADDED,
) -> tuple[HubTokenizer, Vocabulary]:
    """A tokenizer of `family` (`gpt2`, `smollm`, `qwen`, `llama3`, `gemma`), written to and read from
    `directory`.
    """
    tokenizer = _sentencepiece() if family == "gemma" else _byte_level(family)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in added])
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    return HubTokenizer.from_directory(directory), vocabulary_of(directory / "tokenizer.json")


def _byte_level(family: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    splits = {"qwen": QWEN, "llama3": LLAMA3}
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=family not in splits)
    if family == "gpt2":
        tokenizer.pre_tokenizer = byte_level
    elif family == "smollm":
        digits = pre_tokenizers.Digits(individual_digits=True)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])
    else:
        split = pre_tokenizers.Split(Regex(splits[family]), behavior="isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
        if family == "qwen":
            tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=600,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


def _sentencepiece() -> Tokenizer:
    """As Gemma's: one word, spaces written as U+2581, bytes for what no token spells."""
    learned = Tokenizer(models.BPE())
    learned.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(prepend_scheme="never"), pre_tokenizers.Digits()]
    )
    learned.train_from_iterator(TEXT, BpeTrainer(vocab_size=400, show_progress=False))
    rest = sorted(learned.get_vocab(), key=learned.get_vocab().__getitem__)
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *rest]
    ids = {piece: number for number, piece in enumerate(pieces)}
    # Every way to make a piece of two others, as transformers writes them: llama.cpp knows no merges.
    merges = [
        (piece[:cut], piece[cut:])
        for piece in rest
        for cut in range(1, len(piece))
        if piece[:cut] in ids and piece[cut:] in ids
    ]
    tokenizer = Tokenizer(
        models.BPE(ids, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return tokenizer
