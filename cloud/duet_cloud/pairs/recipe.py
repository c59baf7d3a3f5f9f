"""Recipes: a few lines of TOML that say what a pair is made from."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from duet_cloud.errors import PairBuildError
from duet_cloud.pairs.shipped import shipped_pairs
from duet_contract.json_data import read_text
from duet_contract.manifest import Defaults, Limits, PromptFormat

_MOST_BYTES = 1 << 20


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Model):
    """Where a model lies: on the hub, in an installed package, or in a local file or directory.

    `folder` is a directory within that place. `gguf` names the GGUF file in it; without one it is
    a directory as Hugging Face's libraries write it.
    """

    hub: str | None = None
    revision: str | None = None
    package: str | None = None
    local: Path | None = None
    folder: str | None = None
    gguf: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(place is not None for place in (self.hub, self.package, self.local)) != 1:
            raise ValueError("a source is one of hub, package and local")
        return self


class ReasonerRecipe(_Model):
    """`instruction` follows the question in the reasoner's prompt and in the decoder's.

    `adapter`: LoRA weights as PEFT writes them, added to the source's. A reasoner that was trained
    with prompts of its own has them in `prompt`, with the control token that ends its reasoning;
    else both follow from its chat template.
    """

    source: Source
    adapter: Source | None = None
    instruction: str = ""
    individual_digits: bool = False
    prompt: PromptFormat | None = None
    end_of_reasoning: str | None = None

    @model_validator(mode="after")
    def _whole_format(self) -> Self:
        if (self.prompt is None) != (self.end_of_reasoning is None):
            raise ValueError("a prompt needs end_of_reasoning, and that a prompt")
        if self.prompt and self.instruction:
            raise ValueError("an instruction is of a chat template; write it into the prompt")
        return self


class DecoderRecipe(_Model):
    """`quantization`: llama.cpp's name; None keeps the source file as it is.

    `after_signal`: what a decoder without a thinking template reads between signal and answer. One
    that was trained with prompts of its own has them in `prompt_with_signal` and `prompt_alone`.
    """

    source: Source
    quantization: Literal["F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0"] | None = None
    after_signal: str = "\n\n"
    prompt_with_signal: PromptFormat | None = None
    prompt_alone: PromptFormat | None = None

    @model_validator(mode="after")
    def _both_prompts(self) -> Self:
        if (self.prompt_with_signal is None) != (self.prompt_alone is None):
            raise ValueError("prompt_with_signal needs prompt_alone, and that the other")
        return self


class Recipe(_Model):
    """What a pair is made from, and what it is made for."""

    id: str
    version: str
    description: str
    licence: str
    base_models: Annotated[tuple[str, ...], Field(min_length=1)]
    reasoner: ReasonerRecipe
    decoder: DecoderRecipe
    limits: Limits
    defaults: Defaults


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with DUET."""
    entries = files("duet_cloud.pairs").joinpath("recipes").iterdir()
    return sorted(entry.name.removesuffix(".toml") for entry in entries)


def load_recipe(name_or_file: str) -> Recipe:
    """Reads a shipped recipe by name, or any recipe by its file.

    Raises:
        PairBuildError: no such recipe, or it is malformed.
    """
    if name_or_file in shipped_recipes():
        text = (
            files("duet_cloud.pairs").joinpath("recipes", f"{name_or_file}.toml").read_text("utf-8")
        )
    else:
        try:
            text = read_text(Path(name_or_file), _MOST_BYTES)
        except ValueError as error:
            raise PairBuildError(f"the recipe {name_or_file} is malformed: {error}") from error
        except OSError as error:
            raise PairBuildError(
                f"there is no recipe {name_or_file!r}; shipped are: "
                f"{', '.join(sorted({*shipped_recipes(), *shipped_pairs()}))}"
            ) from error
    try:
        return Recipe.model_validate(tomllib.loads(text))
    except RecursionError as error:
        raise PairBuildError(f"the recipe {name_or_file} is nested too deeply") from error
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        summary = "; ".join(str(error).splitlines())
        raise PairBuildError(f"the recipe {name_or_file} is malformed: {summary}") from error
