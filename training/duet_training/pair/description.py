"""A pair to train: both models, and how their prompts are built.

A YAML file with the same prompt formats as a pair's manifest, so that training, vLLM and llama.cpp
see the same token ids (`duet_contract.prompts`). The chat template and the pad token of a tokenizer
play no part: templates are spelled out here, and padding is always masked.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator

from duet_contract.described import Described
from duet_contract.errors import first_line
from duet_contract.json_data import faults
from duet_contract.manifest import PromptFormat, SlotPart
from duet_training.errors import ConfigError

BUILT_IN = Path(__file__).parent / "descriptions"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def _with_slots(*wanted: str) -> AfterValidator:
    """Check that a prompt has these slots in this order, each once."""

    def check(prompt: PromptFormat) -> PromptFormat:
        if tuple(part.slot for part in prompt if isinstance(part, SlotPart)) != wanted:
            raise ValueError(
                f"must have {' and then '.join(map(repr, wanted))} as slots, each once"
            )
        return prompt

    return AfterValidator(check)


_QuestionPrompt = Annotated[PromptFormat, _with_slots("question")]


class _Model(Described):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReasonerModel(_Model):
    """The large model."""

    path: Path
    """Its directory (Hugging Face layout with `tokenizer.json`)."""
    prompt: _QuestionPrompt
    """Prompt of a question."""
    end_of_reasoning: Annotated[str, Field(min_length=1)]
    """Token that ends the signal."""
    begin_of_reasoning: str | None = None
    """Token that is left out of the signal if the model writes it."""
    end_of_text: Annotated[tuple[str, ...], Field(min_length=1)]
    """Any of these tokens ends the response."""

    @property
    def opened(self) -> bool:
        """Whether the prompt opens the reasoning, so that the model does not write its first token."""
        last = self.prompt[-1]
        if self.begin_of_reasoning is None or isinstance(last, SlotPart):
            return False
        begun = last.template.rfind(self.begin_of_reasoning)
        return begun > last.template.rfind(self.end_of_reasoning)


class DecoderModel(_Model):
    """The small model."""

    path: Path
    """Its directory (Hugging Face layout with `tokenizer.json`)."""
    prompt_with_signal: Annotated[PromptFormat, _with_slots("question", "signal")]
    """Prompt of a question with a signal."""
    prompt_alone: _QuestionPrompt
    """Prompt of a question without a signal."""
    end_of_answer: Annotated[tuple[str, ...], Field(min_length=1)]
    """Any of these tokens ends the answer."""


class Pair(_Model):
    """Both models of a pair in training."""

    reasoner: ReasonerModel
    """The large model."""
    decoder: DecoderModel
    """The small model."""
    instruction: Literal["pair", "data"] = "pair"
    """What tells the models how to answer: the pair's prompts, or the rows of the data set
    (`duet-train data prepare --instruction data`)."""
    tokenized: Literal["parts", "whole"] = "parts"
    """`parts`: each part of a prompt apart, as serving does. `whole`: the whole text at once, as
    the released code does; such a pair is not exported."""
    quantities: Literal["private"] | None = None
    """`private`: models read labels in place of numbers, and the signal is a formula over them
    (`duet_contract.quantities`). Such a pair's answers are computed."""
    answers: Literal["computed"] | None = None
    """`computed`: the device computes, so verifiers accept arithmetic for a number."""

    @model_validator(mode="after")
    def _check_quantities(self) -> Self:
        if self.quantities and self.answers != "computed":
            raise ValueError("quantities: private needs answers: computed")
        if self.quantities and self.instruction == "data":
            # Numbers in it would be labels, too, and other ones for each model.
            raise ValueError("quantities: private needs instruction: pair")
        return self

    @property
    def paths(self) -> dict[str, Path]:
        """Directories of both models, by "reasoner" and "decoder"."""
        return {"reasoner": self.reasoner.path, "decoder": self.decoder.path}


def load_pair(file: Path) -> Pair:
    """Read a pair's YAML file, or the built-in pair of that name, with both models available.

    Model paths are relative to the file. A path that is not a directory names a hub repository
    ("Qwen/Qwen3-4B"), which is fetched into the hub's cache.

    Raises:
        ConfigError: The file is unreadable or invalid (every fault is named), or a model is
            missing.
    """
    pair = read_pair(file)
    reasoner = pair.reasoner.model_copy(update={"path": _directory(file, pair.reasoner.path)})
    decoder = pair.decoder.model_copy(update={"path": _directory(file, pair.decoder.path)})
    return pair.model_copy(update={"reasoner": reasoner, "decoder": decoder})


def pair_file(file: Path) -> Path:
    """Return the YAML file of a pair: `file`, or that of the built-in pair of this name."""
    built_in = BUILT_IN / f"{file.name}.yaml"
    named = not file.exists() and file.name == str(file) and built_in.is_file()
    return built_in if named else file


def read_pair(file: Path) -> Pair:
    """Read a pair as `load_pair` does, with model paths unchanged.

    Raises:
        ConfigError: The file is unreadable or invalid.
    """
    file = pair_file(file)
    try:
        data: Any = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the pair {file}: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    try:
        return Pair.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{file} is invalid: {faults(error, 'pair')}") from error


def hub_id(file: Path, path: Path) -> str | None:
    """Return the hub repository that a pair's `path` names, or None for a directory."""
    if (file.parent / path.expanduser()).exists():
        return None
    return str(path) if _HUB_ID.fullmatch(str(path)) else None


def _directory(file: Path, path: Path) -> Path:
    repository = hub_id(file, path)
    directory = fetch(repository) if repository else (file.parent / path.expanduser()).resolve()
    for needed in ("config.json", "tokenizer.json"):
        if not (directory / needed).is_file():
            raise ConfigError(f"{file} names the model {directory}, which has no {needed}")
    return directory


def fetch(repository: str, *, cached: bool = False) -> Path:
    """Return a hub repository's directory in the hub's cache; do not fetch it if `cached`.

    `HF_HOME`, `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE` apply.

    Raises:
        ConfigError: The repository is not in the cache and cannot be fetched.
    """
    from huggingface_hub import snapshot_download

    patterns = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]
    try:
        return Path(snapshot_download(repository, allow_patterns=patterns, local_files_only=cached))
    except Exception as error:  # the hub's, httpx's and the file system's own
        raise ConfigError(
            f"cannot fetch {repository} from the hub: {first_line(error)}; name a local directory in the pair"
        ) from error


def empty_model(model: Path) -> Any:
    """Load the model in a directory without allocating its weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model))


def parameters(model: Path) -> int:
    """Count the weights of the model in a directory without reading them."""
    return sum(int(weight.numel()) for weight in empty_model(model).parameters())
