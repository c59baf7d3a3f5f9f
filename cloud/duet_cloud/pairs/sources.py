"""Brings the models of a recipe onto this machine."""

import json
import os
import shutil
from importlib.resources import files
from pathlib import Path

from duet_cloud.errors import PairBuildError
from duet_cloud.pairs.recipe import Recipe, Source
from duet_contract.calibration import CALIBRATION_NAME
from duet_contract.errors import first_line
from duet_contract.manifest import Peer

FIGURES_NAME = "figures.json"
# What a served model needs; repositories also hold duplicates in other formats.
MODEL_FILES = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")


def locate(source: Source, wanted: str = "config.json") -> Path:
    """Return the directory of a source's files; download them from the hub if needed.

    `wanted`: a file that has to be there, where the source names no GGUF. Hub downloads go through
    `huggingface_hub`, so its cache, tokens, mirrors (`HF_ENDPOINT`) and offline mode
    (`HF_HUB_OFFLINE=1`) all apply.

    Raises:
        PairBuildError: the source is missing or cannot be downloaded.
    """
    if source.package is not None:
        try:
            directory = Path(str(files(source.package))) / (source.folder or "")
        except ModuleNotFoundError as error:
            raise PairBuildError(
                f"the package {source.package} is not installed: pip install "
                f"{source.package.replace('_', '-')}"
            ) from error
    elif source.local is not None:
        try:
            directory = source.local.expanduser()
            directory = directory.parent if directory.is_file() else directory
        except (RuntimeError, OSError) as error:  # ~USER without a home; a name that is too long
            raise PairBuildError(f"cannot find {source.local}: {error}; give its path") from error
        directory /= source.folder or ""
    else:
        directory = _from_hub(source) / (source.folder or "")
    needed = directory / (source.gguf or wanted)
    if not needed.is_file():
        raise PairBuildError(f"{needed} does not exist")
    return directory


def own_calibration(recipe: Recipe) -> Path | None:
    """Return the calibration that a recipe names; None if it names none.

    Raises:
        PairBuildError: it is missing or cannot be downloaded.
    """
    if recipe.calibration is None:
        return None
    return locate(recipe.calibration, CALIBRATION_NAME) / CALIBRATION_NAME


def own_peer(recipe: Recipe) -> Peer | None:
    """Return what the figures that a recipe names compare the pair with; None if it names none.

    Raises:
        PairBuildError: they are missing, cannot be downloaded, or compare it with nothing.
    """
    if recipe.figures is None:
        return None
    file = locate(recipe.figures, FIGURES_NAME) / FIGURES_NAME
    try:
        served = json.loads(file.read_text("utf-8"))["served"]
        sets = [(each["questions"], each["peer"]) for each in served["sets"].values()]
        questions = sum(count for count, _ in sets)
        return Peer(
            name=served["peer"],
            questions=questions,
            accuracy=round(sum(count * peer["accuracy"] for count, peer in sets) / questions, 4),
            tokens=round(sum(count * peer["large_tokens"] for count, peer in sets) / questions, 2),
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise PairBuildError(f"{file} has no figures of a peer: {first_line(error)}") from error


def _from_hub(source: Source) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    assert source.hub is not None
    names = [source.gguf, "tokenizer.json"] if source.gguf else MODEL_FILES
    patterns = [f"{source.folder}/{name}" if source.folder else name for name in names]
    try:
        return Path(
            snapshot_download(source.hub, revision=source.revision, allow_patterns=patterns)
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise PairBuildError(
            f"cannot fetch {source.hub} from the hub: {first_line(error)}; "
            "give a local directory with --reasoner and --decoder instead"
        ) from error


def place(file: Path, target: Path) -> None:
    """Put a file into a pair's directory: as a hard link where the disk allows, else as a copy."""
    real = file.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(real, target)
    except OSError:
        shutil.copyfile(real, target)
