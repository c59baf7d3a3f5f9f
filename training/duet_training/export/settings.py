"""The settings of an export, checked before anything is read. `training/duet_training/settings/conf/export.yaml`."""

from pathlib import Path
from typing import Annotated, Literal, Self

import llama_cpp
from pydantic import Field, field_validator, model_validator

from duet_training.settings.types import Count, Part, Positive, Rate


def quantization_types() -> dict[str, int]:
    """What llama.cpp can write, by its own names, with its numbers."""
    prefixes = ("LLAMA_FTYPE_MOSTLY_", "LLAMA_FTYPE_ALL_")
    return {
        name.removeprefix(prefix): int(getattr(llama_cpp, name))
        for prefix in prefixes
        for name in dir(llama_cpp)
        if name.startswith(prefix)
    }


class LimitSettings(Part):
    """The manifest's limits in tokens; None is what the run trained with."""

    question: Count | None
    budget: Count | None
    answer: Count | None


class DefaultSettings(Part):
    """The manifest's defaults; None is the limit."""

    budget: Count | None
    answer: Count | None
    temperature: Annotated[float, Field(ge=0, le=2)]


class FigureSettings(Part):
    """What `duet-train evaluate` wrote: the split, and the reasoner by itself before."""

    split: Path | None
    alone: Path | None

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.alone and not self.split:
            raise ValueError("figures.alone says nothing without figures.split")
        return self


class ParitySettings(Part):
    """How the exported models are compared with the trained ones, and what is too far apart."""

    data: Path | None
    questions: Count
    tokens: Count
    batch: Count
    verifier_processes: Count
    verifier_seconds: Positive
    serving_python: Path | None
    serving_top: Annotated[int, Field(ge=1, le=20)]
    serving_seconds: Positive
    max_kl: dict[str, Annotated[float, Field(ge=0, le=1e9)]]
    min_top1: dict[str, Rate]
    max_accuracy_drop: Rate
    on_excess: Literal["stop", "warn"]

    @model_validator(mode="after")
    def _has_a_last_resort(self) -> Self:
        for name, limits in (("max_kl", self.max_kl), ("min_top1", self.min_top1)):
            if "other" not in limits:
                raise ValueError(f"{name} must hold a value for `other`")
        return self


class ExportSettings(Part):
    """A whole export."""

    checkpoint: str | None
    pair: Path | None
    id: str | None
    version: str
    description: str
    licence: str
    base_models: tuple[str, ...]
    quantizations: Annotated[tuple[str, ...], Field(min_length=1)]
    decoder: str
    doubt: Annotated[float, Field(gt=0, lt=1)] | None
    figures: FigureSettings
    reasoner_dtype: Literal["bfloat16", "float16", "float32"]
    keep_decoder: bool
    """Keep the decoder's merged weights for transformers in `OUT/merged/decoder`."""
    converter: Path | None
    threads: Count | None
    limits: LimitSettings
    default: DefaultSettings
    parity: ParitySettings

    @field_validator("quantizations", mode="after")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_known_type(name) for name in names))

    @field_validator("decoder", mode="after")
    @classmethod
    def _known_decoder(cls, name: str) -> str:
        return _known_type(name)

    @model_validator(mode="after")
    def _among_them(self) -> Self:
        if self.decoder not in self.quantizations:
            raise ValueError(
                f"decoder={self.decoder} is not among quantizations={list(self.quantizations)}"
            )
        return self


def _known_type(name: str) -> str:
    known = quantization_types()
    if name.upper() not in known:
        raise ValueError(f"llama.cpp has no quantisation {name!r}; it has {', '.join(known)}")
    return name.upper()
