"""Packs a trained pair with private quantities: what a recipe needs, and the recipe.

The directory then holds `adapter/` in bfloat16, `decoder/` as GGUF with its tokenizer, and
`recipe.toml`: `duet-cloud pairs build DIR/recipe.toml` makes the pair of them.
"""

import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from duet_contract.json_data import json_text
from duet_report.text_page import render
from duet_training.errors import DataError
from duet_training.export.converter import converter_directory
from duet_training.export.gguf_files import write_gguf
from duet_training.pair.description import Pair
from duet_training.sft import PRIVATE_PAIR, PRIVATE_VERSION

KIND = "Q8_0"
_WEIGHTS = "adapter_model.safetensors"


def pack(pair: Pair, adapter: Path, base: Path, base_name: str, into: Path, threads: int) -> None:
    """Write adapter, decoder and recipe; what else is in `into` stays.

    `adapter` is as PEFT writes it, for the model in `base`, which the hub calls `base_name`.

    Raises:
        DataError: a file cannot be read or written.
        ExportError: llama.cpp cannot convert the decoder.
    """
    try:
        into.mkdir(parents=True, exist_ok=True)
        for part in ("adapter", "decoder"):
            shutil.rmtree(into / part, ignore_errors=True)
        shutil.copytree(adapter, into / "adapter")
        weights = into / "adapter" / _WEIGHTS
        halves = {name: weight.to(torch.bfloat16) for name, weight in load_file(weights).items()}
        save_file(halves, weights, {"format": "pt"})
        write_gguf(pair.decoder.path, into / "decoder", (KIND,), converter_directory(None), threads)
        tokenizer = pair.decoder.path / "tokenizer.json"
        shutil.copyfile(tokenizer, into / "decoder" / tokenizer.name)
        (into / "recipe.toml").write_text(_recipe(pair, base, base_name, into), "utf-8")
    except (OSError, SafetensorError) as error:
        raise DataError(f"cannot pack the pair into {into}: {error}") from error


def toml_text(text: str) -> str:
    r"""Return a string of TOML, which knows no surrogates, in which JSON writes some characters.

    Examples:
        >>> print(toml_text('/home/"x"/📐'))
        "/home/\"x\"/📐"
    """
    return json_text(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _recipe(pair: Pair, base: Path, base_name: str, into: Path) -> str:
    return render(
        "duet_training.sft",
        "recipe.toml.j2",
        id=PRIVATE_PAIR,
        version=PRIVATE_VERSION,
        base=base_name,
        source=str(base.resolve()),
        folder=str(into.resolve()),
        kind=KIND,
        pair=pair,
        text=toml_text,
    )
