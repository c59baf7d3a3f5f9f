"""A pair to train: both models, and how their prompts are built.

A YAML file with the same prompt formats as a pair's manifest, so that training, vLLM and llama.cpp
see the same token ids (`duet_contract.prompts`). The chat template and the pad token of a tokenizer
play no part: templates are spelled out here, and padding is always masked.
"""

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from duet_contract.manifest import PromptFormat, SlotPart
from training.errors import ConfigError


def _slots(prompt: PromptFormat) -> list[str]:
    return [part.slot for part in prompt if isinstance(part, SlotPart)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReasonerModel(_Model):
    """The large model.

    `path`: its directory (Hugging Face layout with `tokenizer.json`). `begin_of_reasoning` is left
    out of the signal if the model writes it; `end_of_reasoning` closes the signal; any of
    `end_of_text` ends the response.
    """

    path: Path
    prompt: PromptFormat
    end_of_reasoning: Annotated[str, Field(min_length=1)]
    begin_of_reasoning: str | None = None
    end_of_text: Annotated[tuple[str, ...], Field(min_length=1)]

    @field_validator("prompt")
    @classmethod
    def _holds_the_question(cls, prompt: PromptFormat) -> PromptFormat:
        if _slots(prompt) != ["question"]:
            raise ValueError("must have the slot 'question' once")
        return prompt


class DecoderModel(_Model):
    """The small model. Any of `end_of_answer` ends its answer."""

    path: Path
    prompt_with_signal: PromptFormat
    prompt_alone: PromptFormat
    end_of_answer: Annotated[tuple[str, ...], Field(min_length=1)]

    @field_validator("prompt_with_signal")
    @classmethod
    def _holds_both(cls, prompt: PromptFormat) -> PromptFormat:
        if _slots(prompt) != ["question", "signal"]:
            raise ValueError("must have the slots 'question' and then 'signal', each once")
        return prompt

    @field_validator("prompt_alone")
    @classmethod
    def _holds_the_question(cls, prompt: PromptFormat) -> PromptFormat:
        if _slots(prompt) != ["question"]:
            raise ValueError("must have the slot 'question' once")
        return prompt


class Pair(_Model):
    """Both models of a pair in training."""

    reasoner: ReasonerModel
    decoder: DecoderModel


def load_pair(file: Path) -> Pair:
    """Reads a pair's YAML file; model paths in it are relative to the file.

    Raises:
        ConfigError: unreadable, invalid (every fault is named), or a model's directory is missing.
    """
    try:
        data: Any = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the pair {file}: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    try:
        pair = Pair.model_validate(data)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'pair'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ConfigError(f"{file} is invalid: {faults}") from error
    reasoner = pair.reasoner.model_copy(update={"path": _directory(file, pair.reasoner.path)})
    decoder = pair.decoder.model_copy(update={"path": _directory(file, pair.decoder.path)})
    return Pair(reasoner=reasoner, decoder=decoder)


def _directory(file: Path, path: Path) -> Path:
    directory = (file.parent / path.expanduser()).resolve()
    for needed in ("config.json", "tokenizer.json"):
        if not (directory / needed).is_file():
            raise ConfigError(f"{file} names the model {directory}, which has no {needed}")
    return directory
