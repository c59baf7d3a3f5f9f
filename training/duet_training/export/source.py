"""The source of an export: a checkpoint of a run, its training lengths, and its pair."""

from dataclasses import dataclass
from pathlib import Path

from duet_contract.json_data import read_json
from duet_contract.manifest import TemplatePart
from duet_training.data.rows import paths_of
from duet_training.errors import CheckpointError, ConfigError
from duet_training.files import steps_saved
from duet_training.pair.description import Pair, load_pair, pair_file


@dataclass(frozen=True)
class Lengths:
    """Maximum lengths of a training run, in tokens."""

    prompt: int
    """Prompt of the reasoner."""
    response: int
    """Response of the reasoner."""
    answer: int
    """Answer of the decoder."""
    decoder_prompt: int
    """Whole prompt of the decoder."""


@dataclass(frozen=True)
class Trained:
    """A checkpoint with the pair and data of its run."""

    directory: Path
    """Directory of the checkpoint."""
    step: int
    """Step of the checkpoint."""
    pair: Pair
    """The pair as it was trained."""
    data: tuple[Path, ...]
    """Files of the training set."""
    lengths: Lengths
    """Limits in tokens that the run trained with."""


def find_trained(run: Path, checkpoint: str | None, pair: Path | None) -> Trained:
    """Find the newest or the named checkpoint of a run, with its pair, or `pair` if that is given.

    `run` may also be the directory of one checkpoint.

    Raises:
        CheckpointError: There is no checkpoint, its `state.json` cannot be read, or its weights are gone.
        ConfigError: The pair is missing, or its prompts cannot be served.
    """
    directory = _checkpoint(run, checkpoint)
    try:
        content = read_json(directory / "state.json")
        step, settings = int(content["step"]), content["settings"]
        named, data, tokens = Path(settings["pair"]), settings["data"], settings["tokens"]
        train, prompt = paths_of(data["train"]), int(data["max_prompt"])
        limits = (int(tokens[name]) for name in ("response", "answer", "decoder_prompt"))
        lengths = Lengths(prompt, *limits)
        policies = (
            ("reasoner", "decoder") if settings.get("method", "duet") == "duet" else ("reasoner",)
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"cannot read {directory / 'state.json'}: {error!r}") from error
    if missing := [name for name in policies if not (directory / name).is_dir()]:
        raise CheckpointError(
            f"{directory} has no weights of the {missing[0]}: `duet-train paper` deletes them after "
            "their evaluation, unless --keep-weights is given"
        )
    file = pair or named
    if not pair_file(file).is_file():
        hint = "" if pair else ", which the run names: give its place with pair=FILE"
        raise ConfigError(f"there is no pair file {file}{hint}")
    loaded = load_pair(file)
    if loaded.tokenized == "whole" or loaded.instruction == "data":
        raise ConfigError(
            f"{file} has the released code's prompts, which no device builds: train with "
            "`tokenized: parts` and `instruction: pair` to export"
        )
    return Trained(directory, step, served_pair(loaded), train, lengths)


def served_pair(pair: Pair) -> Pair:
    """Convert a pair to its served form.

    If the reasoner opens the reasoning block itself, the served prompt opens it, so that the
    signal is only the block's content.
    """
    reasoner = pair.reasoner
    begin = reasoner.begin_of_reasoning
    if begin is None or reasoner.opened:
        return pair
    prompt = (*reasoner.prompt, TemplatePart(template=begin))
    return pair.model_copy(update={"reasoner": reasoner.model_copy(update={"prompt": prompt})})


def _checkpoint(run: Path, name: str | None) -> Path:
    if (run / "state.json").is_file() and name is None:
        return run
    if not run.is_dir():
        raise CheckpointError(f"there is no run {run}")
    whole = steps_saved(run / "checkpoints")
    if not whole:
        raise CheckpointError(f"{run} has no checkpoint: it has no checkpoints/step_N/state.json")
    if name is None:
        return _of(run, whole[-1])
    number = name.removeprefix("step_")
    if not number.isdigit() or int(number) not in whole:
        there = ", ".join(f"step_{step}" for step in whole)
        raise CheckpointError(f"{run} has no checkpoint {name}; there are: {there}")
    return _of(run, int(number))


def _of(run: Path, step: int) -> Path:
    return run / "checkpoints" / f"step_{step}"
