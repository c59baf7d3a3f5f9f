"""GGUF at build time: reading the vocabulary, dequantising for vLLM, quantising for llama.cpp."""

import ctypes
import json
from dataclasses import dataclass
from math import prod
from pathlib import Path

from duet_cloud.errors import PairBuildError


@dataclass(frozen=True)
class GgufInfo:
    """What a manifest needs to know of a GGUF file."""

    tokens: list[str]
    token_types: list[int]
    chat_template: str
    context: int
    parameters: int
    end_tokens: list[str]


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

    def value(key: str):  # type: ignore[no-untyped-def]
        field = reader.get_field(key)
        if field is None:
            raise PairBuildError(f"{path} has no {key}")
        return field.contents()

    tokens = value("tokenizer.ggml.tokens")
    architecture = value("general.architecture")
    return GgufInfo(
        tokens=tokens,
        token_types=value("tokenizer.ggml.token_type"),
        chat_template=value("tokenizer.chat_template"),
        context=int(value(f"{architecture}.context_length")),
        parameters=sum(prod(int(n) for n in tensor.shape) for tensor in reader.tensors),
        end_tokens=[tokens[value("tokenizer.ggml.eos_token_id")]],
    )


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
