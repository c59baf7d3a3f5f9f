"""GGUF at build time: reading the vocabulary, dequantising for vLLM, quantising for llama.cpp."""

import ctypes
import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

from duet_cloud.errors import PairBuildError

# Unicode forms of the original tokenizers, by llama.cpp's names for how they cut text.
_NORMALIZATIONS: dict[str, Literal["NFC"] | None] = {
    "gemma4": None,
    "gpt-2": None,
    "llama-bpe": None,
    "qwen2": "NFC",
    "smollm": None,
}
# Names of special tokens in a GGUF's header, and in chat templates.
_TEMPLATE_TOKENS = {"bos": "bos", "eos": "eos", "unknown": "unk", "padding": "pad"}


@dataclass(frozen=True)
class GgufInfo:
    """What a manifest needs to know of a GGUF file."""

    tokens: list[str]
    """The vocabulary's tokens by id."""
    token_types: list[int]
    """Their types as in llama.cpp."""
    chat_template: str
    """The chat template in Jinja."""
    names: dict[str, str]
    """Values that the chat template reads, such as `bos_token`."""
    end_tokens: list[str]
    """Tokens that end an answer."""
    context: int
    """Size of the context window in tokens."""
    parameters: int
    """Number of parameters."""
    cuts: str | None
    """llama.cpp's name for how the tokenizer cuts text into words; None in a SentencePiece one."""


def inspect(path: Path) -> GgufInfo:
    """Read vocabulary, chat template and sizes from a GGUF's header.

    Raises:
        PairBuildError: not a GGUF, or without vocabulary or chat template.
    """
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
    except (OSError, ValueError, IndexError) as error:
        raise PairBuildError(f"cannot read {path} as GGUF: {error}") from error

    def found(key: str) -> Any:
        field = reader.get_field(key)
        return None if field is None else field.contents()

    def value(key: str) -> Any:
        if (content := found(key)) is None:
            raise PairBuildError(f"{path} has no {key}")
        return content

    def token(name: str) -> str | None:
        number = found(f"tokenizer.ggml.{name}_token_id")
        if number is not None and number >= len(tokens):
            raise PairBuildError(f"{path} has {len(tokens)} tokens, and {name} is token {number}")
        return None if number is None else tokens[number]

    tokens = value("tokenizer.ggml.tokens")
    architecture, kind = value("general.architecture"), value("tokenizer.ggml.model")
    if kind not in ("gpt2", "llama", "gemma4"):
        raise PairBuildError(f"{path} has a tokenizer of the kind {kind!r}, which is not supported")
    # A signal arrives in chunks, and each is tokenised on its own.
    if kind == "llama" and found("tokenizer.ggml.add_space_prefix") in (True, None):
        raise PairBuildError(
            f"the tokenizer of {path} writes a space before every text that it reads, so that a "
            "signal cannot be read in chunks: take another decoder"
        )
    names = {short: token(name) for name, short in _TEMPLATE_TOKENS.items()}
    value("tokenizer.ggml.eos_token_id")
    ends = [token(name) for name in ("eos", "eot", "eom")]
    return GgufInfo(
        tokens=tokens,
        token_types=value("tokenizer.ggml.token_type"),
        chat_template=value("tokenizer.chat_template"),
        names={f"{short}_token": text for short, text in names.items() if text},
        end_tokens=[text for text in ends if text],
        context=int(value(f"{architecture}.context_length")),
        parameters=sum(prod(int(n) for n in tensor.shape) for tensor in reader.tensors),
        cuts=None if kind == "llama" else value("tokenizer.ggml.pre"),
    )


def normalization(info: GgufInfo, path: Path) -> Literal["NFC"] | None:
    """Return the Unicode form that a GGUF's original tokenizer applies, by what llama.cpp calls it.

    llama.cpp applies none, and the file does not name it.

    Raises:
        PairBuildError: it is unknown.
    """
    if info.cuts is not None and info.cuts not in _NORMALIZATIONS:
        raise PairBuildError(
            f"the text normalisation of {path.name} (llama.cpp's pre-tokenizer {info.cuts!r}) is "
            f"unknown: put the model's tokenizer.json into {path.parent}"
        )
    return _NORMALIZATIONS[info.cuts] if info.cuts else None


def dequantize(gguf: Path, target: Path, *, individual_digits: bool) -> None:
    """Write a GGUF model as safetensors with tokenizer, the layout that vLLM serves (bfloat16)."""
    import torch
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    model = AutoModelForCausalLM.from_pretrained(
        **where, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16
    )
    tokenizer = AutoTokenizer.from_pretrained(**where)
    if individual_digits:
        fast = tokenizer.backend_tokenizer
        fast.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), fast.pre_tokenizer]
        )
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    _forget_origin(target / "config.json")


def _forget_origin(config: Path) -> None:
    """Drop the name that the file was loaded from, so that builds are alike on every machine."""
    content = json.loads(config.read_text("utf-8"))
    content.pop("_name_or_path", None)
    config.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def quantize(source: Path, target: Path, quantization: str) -> None:
    """Write `source` in another quantisation with llama.cpp's own quantiser.

    Raises:
        PairBuildError: llama.cpp refuses the file.
    """
    import llama_cpp

    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{quantization}")
    parameters.allow_requantize = True
    target.parent.mkdir(parents=True, exist_ok=True)
    code = llama_cpp.llama_model_quantize(
        str(source).encode(), str(target).encode(), ctypes.byref(parameters)
    )
    if code != 0:
        raise PairBuildError(f"llama.cpp cannot quantise {source} to {quantization} (code {code})")
