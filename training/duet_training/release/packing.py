"""`duet-train release pack OUT NAME VERSION --into DIR`: packs the released parts of an adapter.

The command copies the adapter of the pair in OUT/exported, in bfloat16, its decoder, and the
decoder's tokenizer, to the directory that the recipe NAME reads. It rejects a recipe with another
version or confidence threshold than the export's: a recipe contains both as hand-written values.
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

RECIPES = ROOT / "cloud" / "duet_cloud" / "pairs" / "recipes"


def pack_release(out: Path, name: str, version: str, into: Path) -> None:
    """Pack the released parts of the pair in `out`.

    Args:
        out: Output of `duet-train release build`.
        name: The recipe.
        version: The pair's version, as in the recipe.
        into: Directory to write.

    Raises:
        TrainingError: A file cannot be read or written, or the recipe does not match.
    """
    manifest = load_manifest(out / "exported")
    check_recipe(RECIPES / f"{name}.toml", version, manifest)
    pack(out, manifest, into)


def check_recipe(recipe: Path, version: str, manifest: Manifest) -> None:
    """Check that a recipe matches the pair's export.

    Raises:
        DataError: It does not, or cannot be read; the message names the values to write.
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
    """Write `into/adapter` and `into/decoder`; keep all other files.

    Raises:
        DataError: A file cannot be read or written.
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
        # A run only knows the adapter's base model as a local directory.
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
