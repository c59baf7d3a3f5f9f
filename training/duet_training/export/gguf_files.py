"""GGUF files of a decoder: converted once by llama.cpp's converter, quantized by llama.cpp."""

import ctypes
import sys
from collections import Counter
from dataclasses import dataclass
from math import prod
from pathlib import Path

import llama_cpp
from gguf import GGUFReader

from duet_training.errors import ExportError
from duet_training.export.convert import UNKNOWN_TOKENIZER
from duet_training.export.llama import LlamaModel, llama_error
from duet_training.export.processes import run
from duet_training.export.settings import quantization_types
from duet_training.export.tokenizers import pretokenizer_of

# What the converter writes itself; the others are made from its F16.
UNQUANTIZED = {"F32": "f32", "F16": "f16", "BF16": "bf16"}


@dataclass(frozen=True)
class GgufInfo:
    """What a manifest and a report need to know of a GGUF file."""

    tokens: list[str]
    """Texts of the vocabulary's tokens."""
    token_types: list[int]
    """Types of these tokens, as llama.cpp numbers them."""
    context: int
    """Context window in tokens."""
    parameters: int
    """Number of weights."""
    types: dict[str, int]
    """Number of tensors by the type of their weights."""


def convert(model: Path, target: Path, kind: str, converter: Path) -> None:
    """Write a Hugging Face directory as GGUF, unquantized.

    Raises:
        ExportError: llama.cpp does not know the tokenizer or the architecture, or the disk is full.
    """
    known = pretokenizer_of(model)
    command = [sys.executable, "-m", "duet_training.export.convert", str(converter), str(model)]
    command += [str(target), UNQUANTIZED[kind], known or ""]
    code, reason = run(command)
    if code == UNKNOWN_TOKENIZER:
        raise ExportError(
            f"llama.cpp does not know how the tokenizer of {model.name} cuts text: take the "
            "pre-tokenizer of GPT-2, SmolLM, Qwen2 or Llama 3"
        )
    if code or not target.is_file():
        raise ExportError(f"llama.cpp's converter cannot convert {model.name}: {reason}")


def quantize(source: Path, target: Path, kind: str, threads: int) -> None:
    """Write `source` in another type with llama.cpp's quantizer.

    Weights whose rows do not divide into the type's blocks get a neighboring type.

    Raises:
        ExportError: llama.cpp refuses, for want of an importance matrix say, or the disk is full.
    """
    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype = quantization_types()[kind]
    options.nthread = threads
    with llama_error() as because:
        code = llama_cpp.llama_model_quantize(
            str(source).encode(), str(target).encode(), ctypes.byref(options)
        )
    if code:
        target.unlink(missing_ok=True)
        why = because() or ": is the disk full?"
        raise ExportError(f"llama.cpp cannot quantize {source.name} to {kind}{why}")


def inspect(file: Path) -> GgufInfo:
    """Read a GGUF's vocabulary, context and types."""
    reader = GGUFReader(file)
    fields = {
        key: reader.get_field(key).contents()
        for key in ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "general.architecture")
    }
    architecture = fields["general.architecture"]
    return GgufInfo(
        tokens=fields["tokenizer.ggml.tokens"],
        token_types=fields["tokenizer.ggml.token_type"],
        context=int(reader.get_field(f"{architecture}.context_length").contents()),
        parameters=sum(prod(int(n) for n in tensor.shape) for tensor in reader.tensors),
        types=dict(Counter(tensor.tensor_type.name for tensor in reader.tensors)),
    )


def write_gguf(
    model: Path, directory: Path, kinds: tuple[str, ...], converter: Path, threads: int
) -> dict[str, Path]:
    """Write a model in each of `kinds` as `directory/model.KIND.gguf`; their paths by kind.

    Raises:
        ExportError: see `convert` and `quantize`; or llama.cpp cannot load what was written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    files = {kind: directory / f"model.{kind}.gguf" for kind in kinds}
    base = files.get("F16", directory / "model.F16.gguf")
    for kind, file in {**files, "F16": base}.items():
        if kind in UNQUANTIZED and (kind in files or set(kinds) - UNQUANTIZED.keys()):
            convert(model, file, kind, converter)
    for kind, file in files.items():
        if kind not in UNQUANTIZED:
            quantize(base, file, kind, threads)
    if "F16" not in files:
        base.unlink(missing_ok=True)
    for file in files.values():
        LlamaModel(file, threads).close()
    return files
