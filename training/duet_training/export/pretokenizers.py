"""Maps a tokenizer to llama.cpp's name of its pre-tokenizer.

A GGUF names the pre-tokenizer, which splits text before byte pairs are merged; llama.cpp implements
each one in code. Its converter recognizes them by a hash over one published vocabulary each, so it
does not recognize a custom vocabulary with a known pre-tokenizer. This module compares the steps.
"""

from pathlib import Path
from typing import Any

from duet_contract.json_data import read_json
from duet_training.errors import ExportError

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
