"""Makes a recipe of any two models, given as command line arguments name them."""

import hashlib
import re
import shlex
from pathlib import Path

from duet_cloud.errors import PairBuildError, UsageError
from duet_cloud.pairs.recipe import DecoderRecipe, ReasonerRecipe, Recipe, Source
from duet_contract.errors import first_line

# What the paper's pair asks of its models after each question.
_INSTRUCTION = " Let's think step by step and output the final answer within \\boxed{}."
# Plain instruct models read the signal as the start of their own turn.
_AFTER_SIGNAL = "\n\nAnswer:"
# Of several quantisations in one place, the first of these is taken.
_PREFERRED = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "F16", "BF16")
_HUB = re.compile(r"[\w.-]+/[\w.-]+")
# Not models by themselves: parts of a file that was split, and readers of images.
_PARTS = re.compile(r"-of-\d+\.gguf$|mmproj", re.IGNORECASE)
# A pair's id has at most 64 characters: two names and a hyphen.
_NAME, _DIGEST = 31, 6


def recipe_of(reasoner: str, decoder: str) -> Recipe:
    """Return the recipe of a pair of two models; formats and limits are derived when it is built.

    Args:
        reasoner: see `reasoner_source`.
        decoder: see `decoder_source`. If it names a GGUF file, so does the pair's id: a repository
            holds several quantizations.

    Raises:
        UsageError: an argument names no model.
        PairBuildError: there is no GGUF file to take.
    """
    sources = (reasoner_source(reasoner), decoder_source(decoder))
    arguments = zip((reasoner, decoder), sources, strict=True)
    names = [_published(*each).rpartition("/")[2].removesuffix(".gguf") for each in arguments]
    return Recipe(
        id="-".join(_slug(name) for name in names),
        version="1.0.0",
        description=f"{names[0]} reasons, {names[1]} answers; not trained for the split",
        licence="that of its base models",
        base_models=tuple(source.hub or name for source, name in zip(sources, names, strict=True)),
        reasoner=ReasonerRecipe(source=sources[0], instruction=_INSTRUCTION),
        decoder=DecoderRecipe(source=sources[1], after_signal=_AFTER_SIGNAL),
        alone="useful",
    )


def command_of(recipe: Recipe, reasoner: str, decoder: str) -> str:
    """Return the command that builds `recipe`, made of two arguments by `recipe_of`.

    Local models are named without their directory: the command is published with the pair.
    """
    first = shlex.quote(_published(reasoner, recipe.reasoner.source))
    second = shlex.quote(_published(decoder, recipe.decoder.source))
    return f"duet-cloud pairs build --reasoner {first} --decoder {second}"


def reasoner_source(name: str) -> Source:
    """Return where a reasoner is: a directory as Hugging Face's libraries write it, or on the hub.

    Raises:
        UsageError: `name` is neither.
    """
    path = _local(name)
    if path and path.is_dir():
        return Source(local=path)
    if _HUB.fullmatch(name):
        return Source(hub=name)
    raise UsageError(
        f"--reasoner {name}: there is no such directory; on the hub, models are OWNER/NAME"
    )


def decoder_source(name: str) -> Source:
    """Return where a decoder's GGUF file is.

    Args:
        name: a file, a directory that holds one, `OWNER/NAME` on the hub, or one of its files,
            `OWNER/NAME/FILE.gguf`.

    Raises:
        UsageError: `name` is not one of them.
        PairBuildError: there is no GGUF file, or none of several can be preferred.
    """
    path = _local(name)
    if path and path.is_dir():
        files = sorted(file.name for file in path.glob("*.gguf"))
        return Source(local=path, gguf=_choose(files, name))
    if path and path.is_file():
        return Source(local=path, gguf=path.name)
    repository, _, file = name.rpartition("/")
    if file.endswith(".gguf") and _HUB.fullmatch(repository):
        return Source(hub=repository, gguf=file)
    if _HUB.fullmatch(name):
        return Source(hub=name, gguf=_choose(_hub_files(name), name))
    raise UsageError(
        f"--decoder {name}: there is no such file or directory; on the hub, models are OWNER/NAME"
    )


def _local(name: str) -> Path | None:
    """Return the file or directory of this name, if there is one."""
    try:
        path = Path(name).expanduser().absolute()
        return path if name and path.exists() else None
    except (RuntimeError, OSError):  # ~USER without a home directory; a name that is too long
        return None


def _choose(files: list[str], place: str) -> str:
    """Return the file to take."""
    files = [file for file in files if not _PARTS.search(file)]
    if not files:
        raise PairBuildError(
            f"{place} holds no GGUF file of a whole model, which the decoder has to be: name a "
            "repository of GGUF files, or write one with llama.cpp's convert_hf_to_gguf.py, which "
            "duet-train converter fetches"
        )
    if len(files) == 1:
        return files[0]
    for kind in _PREFERRED:
        found = [file for file in files if file.upper().endswith(f"{kind}.GGUF")]
        if len(found) == 1:
            return found[0]
    raise PairBuildError(f"{place} holds {', '.join(files)}: name one, --decoder {place}/FILE")


def _hub_files(repository: str) -> list[str]:
    """Return the GGUF files in a hub repository's root."""
    from huggingface_hub import HfApi

    try:
        names = HfApi().list_repo_files(repository)
    except Exception as error:  # the hub's, its HTTP library's and the file system's own
        raise PairBuildError(
            f"cannot list {repository} on the hub: {first_line(error)}; "
            f"name its file, --decoder {repository}/FILE.gguf"
        ) from error
    return sorted(name for name in names if name.endswith(".gguf") and "/" not in name)


def _published(argument: str, source: Source) -> str:
    """Return what names a model in a manifest: its argument, without this machine's directories."""
    return source.local.name if source.local else argument


def _slug(name: str) -> str:
    """Return a name as part of a pair's id; a digest tells names apart that have to be cut."""
    plain = re.sub(r"[^a-z0-9._]+", "-", name.lower()).strip("-._").removesuffix("-gguf")
    if len(plain) > _NAME:
        digest = hashlib.sha256(plain.encode()).hexdigest()[:_DIGEST]
        plain = f"{plain[: _NAME - _DIGEST - 1].strip('-._')}-{digest}"
    return plain.strip("-._") or "model"
