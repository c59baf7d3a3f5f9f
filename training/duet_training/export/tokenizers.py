"""Whether llama.cpp cuts text as the tokenizer that the models trained with.

A GGUF names the pre-tokenizer, which splits text before byte pairs are merged; llama.cpp implements
each one in code. Its converter recognizes them by a hash over one published vocabulary each, so it
does not recognize a custom vocabulary with a known pre-tokenizer. `pretokenizer_of` compares the
steps, and `check_tokenizers` what both make of text: nothing else tells that they agree.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from duet_contract.errors import PromptError
from duet_contract.json_data import read_json
from duet_contract.manifest import TemplatePart
from duet_contract.prompts import encode_text
from duet_contract.vocabulary import HubTokenizer, Tokenizer, vocabulary_of
from duet_training.errors import ExportError
from duet_training.export.llama import LlamaModel
from duet_training.pair.description import DecoderModel

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_QWEN2 = _CONTRACTIONS + r"\p{N}" + _REST
_LLAMA3 = _CONTRACTIONS + r"\p{N}{1,3}" + _REST

# Steps of `tokenizer.json` (see `_step`), and llama.cpp's name (`tokenizer.ggml.pre`).
KNOWN: dict[tuple[tuple[object, ...], ...], str] = {
    (("bytes", True),): "gpt-2",
    (("digits", True), ("bytes", True)): "smollm",
    (("split", _QWEN2), ("bytes", False)): "qwen2",
    (("split", _LLAMA3), ("bytes", False)): "llama-bpe",
}


def pretokenizer_of(model: Path) -> str | None:
    """Return llama.cpp's name of the pre-tokenizer in `tokenizer.json`; None: not in `KNOWN`.

    Raises:
        ExportError: The tokenizer is not byte-level BPE, the only kind that all engines share.
    """
    content = read_json((model / "tokenizer.json"), finite=False)
    kind = content["model"].get("type")
    steps = _steps(content.get("pre_tokenizer"))
    if kind != "BPE" or not any(step[0] == "bytes" for step in steps):
        raise ExportError(
            f"{model} has a tokenizer of the kind {kind}, which llama.cpp cannot be relied on to "
            "rebuild: take byte-level BPE with the pre-tokenizer of GPT-2, SmolLM, Qwen2 or Llama 3"
        )
    return KNOWN.get(tuple(steps))


def _steps(step: dict[str, Any] | None) -> list[tuple[object, ...]]:
    if step is None:
        return []
    if step["type"] == "Sequence":
        return [part for inner in step["pretokenizers"] for part in _steps(inner)]
    return [_step(step)]


def _step(step: dict[str, Any]) -> tuple[object, ...]:
    match step["type"]:
        case "ByteLevel" if not step.get("add_prefix_space"):
            return ("bytes", step.get("use_regex", True))
        case "Digits":
            return ("digits", step.get("individual_digits", False))
        case "Split" if step.get("behavior") == "Isolated" and not step.get("invert"):
            return ("split", step["pattern"].get("Regex"))
        case "ByteLevel":
            return ("bytes", "with a space before")
        case other:
            return (other,)


# Where tokenizers are known to part ways: spaces, digits, contractions, scripts, emoji, code.
STRINGS = (
    " leading and trailing  ",
    "two  spaces\tand\ta tab\n\nand lines\r\n  indented\n",
    "12345 + 678.90 = 13,024.5 (1e-7), 3rd 4x",
    "I'll say it's WE'RE don't they'VE he'd",
    "Ünïcödé e\u0301 \ufb01 \u017f İ ß",
    "我想在 apple 工作1314151天~ ありがとう 안녕",
    "កាន់តែពិសេស नमस्ते שלום مرحبا",
    "🚀 (normal) 😶\u200d🌫️ 👩\u200d👩\u200d👧 ✅",
    "def f(x):\n    return x**2  # \\frac{a}{b} \\boxed{42} $x_1$",
    "``` \"quotes\" 'single' -- --- ==== !!!??? ...",
    "\u00a0\u2003\u3000\u200b wide and no spaces",
)


def check_tokenizers(file: Path, model: DecoderModel, texts: Iterable[str]) -> None:
    """Compare both tokenizers on known hard strings, on `texts`, and on the prompts' templates.

    Raises:
        ExportError: naming the first text that they cut differently.
    """
    hub, words = (
        HubTokenizer.from_directory(model.path),
        vocabulary_of(model.path / "tokenizer.json"),
    )
    llama = LlamaModel(file, 1, tokenizer_only=True)
    try:
        for text in (*STRINGS, *texts):
            try:
                _same(text, *(encode_text(each, words, text) for each in (hub, llama)))
            except PromptError:
                continue  # refused alike, wherever it is asked
        for part in (*model.prompt_with_signal, *model.prompt_alone):
            if isinstance(part, TemplatePart):
                _same(part.template, *(_template(each, part.template) for each in (hub, llama)))
    finally:
        llama.close()


def _template(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode_template(text)


def _same(text: str, hub: list[int], llama: list[int]) -> None:
    if hub != llama:
        raise ExportError(
            f"llama.cpp cuts {text[:40]!r} into other tokens than the model trained with "
            f"({llama[:8]} and {hub[:8]}): take the pre-tokenizer of GPT-2, SmolLM, Qwen2 or "
            "Llama 3"
        )
