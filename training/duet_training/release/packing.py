"""`duet-train release pack OUT NAME VERSION --into DIR`: what ships of an adapter.

Copies the adapter of the pair in OUT/exported, in bfloat16, its decoder, and the decoder's
tokenizer, to where the recipe NAME reads them. A recipe of another version, or with another
threshold of confidence than the export found, is refused: both are written there by hand.
"""

import shutil
import tomllib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from duet_contract.json_data import read_json
from duet_contract.manifest import Manifest, load_manifest
from duet_training.errors import DataError
from duet_training.experiments.processes import ROOT
from duet_training.pair.lora import settle_config

RECIPES = ROOT / "cloud" / "pairs" / "recipes"


def pack_release(out: Path, name: str, version: str, into: Path) -> None:
    """Packs what is released of the pair in `out`.

    Args:
        out: what `duet-train release build` has made.
        name: the recipe.
        version: the pair's version, as in the recipe.
        into: directory to write.

    Raises:
        TrainingError: a file cannot be read or written, or the recipe says something else.
    """
    manifest = load_manifest(out / "exported")
    check_recipe(RECIPES / f"{name}.toml", version, manifest)
    pack(out, manifest, into)


def check_recipe(recipe: Path, version: str, manifest: Manifest) -> None:
    """Whether a recipe says of the pair what its export found.

    Raises:
        DataError: it does not, or cannot be read; the message says what to write.
    """
    try:
        content: dict[str, Any] = tomllib.loads(recipe.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the recipe {recipe}: {error}") from error
    found, told = manifest.defaults.confidence, content.get("defaults", {}).get("confidence")
    wanted = None if found is None else float(f"{found:.3g}")
    if content.get("version") != version:
        raise DataError(f'write version = "{version}" into {recipe}')
    if told != wanted:
        line = "leave confidence out of" if wanted is None else f"write confidence = {wanted} into"
        raise DataError(f"{line} [defaults] of {recipe}: below it the export marks answers")


def pack(out: Path, manifest: Manifest, into: Path) -> None:
    """Writes `into/adapter` and `into/decoder`; what else is there stays.

    Raises:
        DataError: a file cannot be read or written.
    """
    adapter, decoder = (
        out / "exported" / path for path in ("adapter/reasoner", manifest.decoder.path)
    )
    tokenizer = out / "start" / "decoder" / "tokenizer.json"
    settings = out / "start" / "adapter" / "adapter_config.json"
    try:
        for name in ("adapter", "decoder"):
            shutil.rmtree(into / name, ignore_errors=True)
        shutil.copytree(adapter, into / "adapter")
        # Which model it is of, a run knows as a directory of its machine.
        base = read_json(settings, finite=False)["base_model_name_or_path"]
        settle_config(into / "adapter", base)
        weights = into / "adapter" / "adapter_model.safetensors"
        halves = {name: weight.to(torch.bfloat16) for name, weight in load_file(weights).items()}
        save_file(halves, weights, {"format": "pt"})
        (into / "decoder").mkdir()
        shutil.copyfile(decoder, into / "decoder" / decoder.name)
        shutil.copyfile(tokenizer, into / "decoder" / tokenizer.name)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise DataError(f"cannot pack {out} into {into}: {error}") from error
