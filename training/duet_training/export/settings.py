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
    """Maximum tokens of a question."""
    budget: Count | None
    """Maximum tokens of a signal."""
    answer: Count | None
    """Maximum tokens of an answer."""


class DefaultSettings(Part):
    """The manifest's defaults; None is the limit."""

    budget: Count | None
    """Budget in tokens of a request that sets none."""
    answer: Count | None
    """Maximum answer tokens of a request that sets none."""
    temperature: Annotated[float, Field(ge=0, le=2)]
    """Sampling temperature of a request that sets none."""


class FigureSettings(Part):
    """JSON files of `duet-train evaluate`, for the manifest's figures."""

    split: Path | None
    """Evaluation of the split; None: what parity measures."""
    alone: Path | None
    """Evaluation of the reasoner alone before the run, on the same questions; None: no figure."""

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.alone and not self.split:
            raise ValueError("figures.alone says nothing without figures.split")
        return self


class ParitySettings(Part):
    """How the exported models are compared with the trained ones, and what is too far apart."""

    data: Path | None
    """Parquet file of questions; None: the run's training data."""
    questions: Count
    """Number of questions."""
    tokens: Count
    """Number of tokens that are compared of each signal and answer."""
    batch: Count
    """Number of prompts at a time, with the trained weights."""
    verifier_processes: Count
    """Number of processes that verify answers."""
    verifier_seconds: Positive
    """Time limit of one verification in seconds."""
    serving_python: Path | None
    """Python interpreter that has vLLM; None: this one, if it has vLLM."""
    serving_top: Annotated[int, Field(ge=1, le=20)]
    """Number of log-probs that vLLM returns for each token."""
    serving_seconds: Positive
    """Time limit of vLLM's part in seconds."""
    max_kl: dict[str, Annotated[float, Field(ge=0, le=1e9)]]
    """Largest mean KL from the trained weights in nats per token, by the longest prefix of a
    quantization's name."""
    min_top1: dict[str, Rate]
    """Least share of tokens with the same most likely token, by the longest prefix of a
    quantization's name."""
    max_accuracy_drop: Rate
    """Largest loss of accuracy, if the interval of the loss excludes 0."""
    on_excess: Literal["stop", "warn"]
    """What happens if a limit is exceeded."""

    @model_validator(mode="after")
    def _has_a_last_resort(self) -> Self:
        for name, limits in (("max_kl", self.max_kl), ("min_top1", self.min_top1)):
            if "other" not in limits:
                raise ValueError(f"{name} must hold a value for `other`")
        return self


class ExportSettings(Part):
    """A whole export."""

    checkpoint: str | None
    """Name of the checkpoint, `step_N`; None: the newest."""
    pair: Path | None
    """YAML file of the pair; None: the run's own."""
    id: str | None
    """Id of the exported pair; None: name of the output directory."""
    version: str
    """Version of the exported pair."""
    description: str
    """Description for users."""
    licence: str
    """License of the pair."""
    base_models: tuple[str, ...]
    """Names of the models that the pair was trained from."""
    quantizations: Annotated[tuple[str, ...], Field(min_length=1)]
    """Quantizations of the decoder, as llama.cpp names them."""
    decoder: str
    """Quantization that the manifest names."""
    doubt: Annotated[float, Field(gt=0, lt=1)] | None
    """Share of right answers that devices may mark as doubtful; None: no answer is marked."""
    figures: FigureSettings
    """Evaluations for the manifest's figures."""
    reasoner_dtype: Literal["bfloat16", "float16", "float32"]
    """Data type of the reasoner's weights."""
    keep_decoder: bool
    """Keep the decoder's merged weights for transformers in `OUT/merged/decoder`."""
    converter: Path | None
    """Directory of llama.cpp's `convert_hf_to_gguf.py`; None: the installed one."""
    threads: Count | None
    """Number of threads; None: every processor."""
    limits: LimitSettings
    """The manifest's limits."""
    default: DefaultSettings
    """The manifest's defaults."""
    parity: ParitySettings
    """How the export is compared with the trained weights."""

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
        raise ValueError(f"llama.cpp has no quantization {name!r}; it has {', '.join(known)}")
    return name.upper()
