"""Recipes: a few lines of TOML that say what a pair is made from."""

import json
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from duet_cloud.errors import PairBuildError
from duet_cloud.pairs.released import released_pairs
from duet_contract.json_data import read_text
from duet_contract.manifest import Defaults, Limits, Manifest, PromptFormat

_MOST_BYTES = 1 << 20


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Model):
    """Location of a model: exactly one of `hub`, `package` and `local`."""

    hub: str | None = None
    """Repository on the Hugging Face hub."""
    revision: str | None = None
    """Revision of the hub's repository."""
    package: str | None = None
    """Name of an installed Python package."""
    local: Path | None = None
    """Local file or directory."""
    folder: str | None = None
    """Directory within that location."""
    gguf: str | None = None
    """GGUF file in it; None: a directory as Hugging Face's libraries write it."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(place is not None for place in (self.hub, self.package, self.local)) != 1:
            raise ValueError("a source is one of hub, package and local")
        return self


class ReasonerRecipe(_Model):
    """The reasoner of a pair."""

    source: Source
    """Model that it is built from."""
    adapter: Source | None = None
    """LoRA weights as PEFT writes them, merged into the source's; None: no adapter."""
    instruction: str = ""
    """Text after the question, in the reasoner's prompt and in the decoder's."""
    individual_digits: bool = False
    """Tokenize each digit by itself, where the model's GGUF file does not say so."""
    prompt: PromptFormat | None = None
    """Prompt that the reasoner was trained with; None: its chat template's."""
    end_of_reasoning: str | None = None
    """Control token that ends its reasoning; set together with `prompt`."""

    @model_validator(mode="after")
    def _whole_format(self) -> Self:
        if (self.prompt is None) != (self.end_of_reasoning is None):
            raise ValueError("a prompt needs end_of_reasoning, and that a prompt")
        if self.prompt and self.instruction:
            raise ValueError("an instruction is of a chat template; write it into the prompt")
        return self


class DecoderRecipe(_Model):
    """The decoder of a pair."""

    source: Source
    """Model that it is built from."""
    quantization: Literal["F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0"] | None = None
    """llama.cpp's name of the quantization; None: the source file as it is."""
    after_signal: str = "\n\n"
    """Text between signal and answer for a decoder without a thinking template."""
    prompt_with_signal: PromptFormat | None = None
    """Prompt with a signal that the decoder was trained with; None: its chat template's."""
    prompt_alone: PromptFormat | None = None
    """Prompt without a signal; set together with `prompt_with_signal`."""
    end_of_answer: tuple[str, ...] | None = None
    """Control tokens that end the answer; None: those of the model and its chat template."""

    @model_validator(mode="after")
    def _both_prompts(self) -> Self:
        if (self.prompt_with_signal is None) != (self.prompt_alone is None):
            raise ValueError("prompt_with_signal needs prompt_alone, and that the other")
        return self


class Recipe(_Model):
    """What a pair is made from, and what it is made for."""

    id: str
    """Id of the pair."""
    version: str
    """Version of the pair, as `1.0.0`."""
    description: str
    """Description for users."""
    licence: str
    """License of the pair."""
    base_models: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of the models that the pair is made from."""
    reasoner: ReasonerRecipe
    """The large model."""
    decoder: DecoderRecipe
    """The small model."""
    limits: Limits | None = None
    """None: derived from the models' context windows."""
    defaults: Defaults | None = None
    """None: derived from the limits, with the temperature that the reasoner's makers name."""
    quantities: Literal["private"] | None = None
    """See `duet_contract.manifest.Manifest`."""
    answers: Literal["computed"] | None = None
    """See `duet_contract.manifest.Manifest`."""
    alone: Literal["useful"] | None = None
    """See `duet_contract.manifest.Manifest`."""
    calibration: Source | None = None
    """Directory of the pair's `calibration.json`; None: the pair has none."""
    figures: Source | None = None
    """Directory of the pair's `figures.json`, for the manifest's `peer`; None: the pair has none."""


def built_in_recipes() -> list[str]:
    """Return the names of the recipes in this package."""
    entries = files("duet_cloud.pairs").joinpath("recipes").iterdir()
    return sorted(entry.name.removesuffix(".toml") for entry in entries)


def load_recipe(name_or_file: str) -> Recipe:
    """Read a recipe of this package by name, or any recipe by its file.

    Raises:
        PairBuildError: no such recipe, or it is malformed.
    """
    if name_or_file in built_in_recipes():
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
                f"there is no recipe {name_or_file!r}; give a file, or one of: "
                f"{', '.join(sorted({*built_in_recipes(), *released_pairs()}))}"
            ) from error
    try:
        return Recipe.model_validate(tomllib.loads(text))
    except RecursionError as error:
        raise PairBuildError(f"the recipe {name_or_file} is nested too deeply") from error
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        summary = "; ".join(str(error).splitlines())
        raise PairBuildError(f"the recipe {name_or_file} is malformed: {summary}") from error


def recipe_text(recipe: Recipe, manifest: Manifest) -> str:
    """Return the recipe of a built pair as TOML, with all that was derived, ready to be edited."""
    reasoner, decoder = manifest.reasoner, manifest.decoder
    whole = recipe.model_copy(
        update={
            "limits": manifest.limits,
            "defaults": manifest.defaults,
            "reasoner": recipe.reasoner.model_copy(
                update={
                    "instruction": "",
                    "prompt": reasoner.prompt,
                    "end_of_reasoning": reasoner.end_of_reasoning,
                }
            ),
            "decoder": recipe.decoder.model_copy(
                update={
                    "prompt_with_signal": decoder.prompt_with_signal,
                    "prompt_alone": decoder.prompt_alone,
                    "end_of_answer": decoder.end_of_answer,
                }
            ),
        }
    )
    data = whole.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    tables = {name: data.pop(name) for name in list(data) if isinstance(data[name], dict)}
    parts = [_lines(data), *(f"[{name}]\n{_lines(table)}" for name, table in tables.items())]
    return "\n".join(parts)


def _lines(table: dict[str, Any]) -> str:
    return "".join(f"{name} = {_toml(value)}\n" for name, value in table.items())


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(each)}" for name, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # TOML's strings, numbers and truth values are JSON's but for this character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
