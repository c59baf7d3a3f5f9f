"""The settings of a run, checked before anything starts. `training/conf/` has the values."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.errors import ConfigError
from training.objective.lengths import Counted
from training.objective.rewards import Baseline
from training.objective.schedule import Constant, DualAscent, Schedule

Count = Annotated[int, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Data(_Settings):
    """Parquet files of `python -m training.data`; `max_prompt` in tokens of the reasoner."""

    train: Path
    validation: Path | None
    max_prompt: Count
    verifier_processes: Count
    verifier_seconds: Annotated[float, Field(gt=0)]


class Batch(_Settings):
    """Questions a step, signals a question, answers a signal; questions in one mini-batch."""

    questions: Count
    signals: Annotated[int, Field(ge=2)]
    answers: Count
    mini_batch: Count


class Tokens(_Settings):
    """Limits in tokens: the reasoner's response, the decoder's answer and its whole prompt."""

    response: Count
    answer: Count
    decoder_prompt: Count


class LearningRates(_Settings):
    """Learning rate of each model."""

    reasoner: NotNegative
    decoder: NotNegative


class Kl(_Settings):
    """KL to the initial reasoner: beta and VERL's estimator. With 0 no reference is kept."""

    coefficient: NotNegative
    kind: Literal["k1", "k2", "k3", "abs"]


class Price(_Settings):
    """lambda: its start and how it moves (`training.objective.schedule`)."""

    schedule: Literal["dual_ascent", "constant"]
    start: float
    rate: NotNegative
    clip: tuple[float, float] | None


class Objective(_Settings):
    """Every switch of the method; the defaults in `conf/train.yaml` are the released code's."""

    budget: Annotated[float, Field(gt=0)]
    counted: Counted
    baseline: Baseline
    length_on_success_only: bool
    divide_by_std: bool
    stop_at_end_of_reasoning: bool
    train_decoder: bool
    decoder_learns_from: Literal["guided", "guided_and_alone"]
    kl: Kl
    price: Price

    def schedule(self) -> Schedule:
        """The schedule of the price."""
        if self.price.schedule == "constant":
            return Constant()
        return DualAscent(self.budget, self.price.rate, self.price.clip)


class Validation(_Settings):
    """Greedy answers to held-out questions every so many steps; 0 is never."""

    every: Annotated[int, Field(ge=0)]
    questions: Count


class Checkpoints(_Settings):
    """Saved every so many steps and at the end; the last `keep` are kept."""

    every: Count
    keep: Count


class Checks(_Settings):
    """Largest difference between rollout's and trainer's log-probs, and what follows a larger."""

    log_prob_tolerance: Annotated[float, Field(gt=0)]
    on_disagreement: Literal["stop", "warn"]


class Hardware(_Settings):
    """What runs where. `verl` and the two lists beside it are overrides of VERL's own settings."""

    name: str
    platform: Literal["cpu", "cuda"]
    devices: Count
    nodes: Count
    threads: Count
    shared_pool: bool
    verl: tuple[str, ...]
    reasoner: tuple[str, ...] = ()
    decoder: tuple[str, ...] = ()


class Settings(_Settings):
    """A whole run."""

    pair: Path
    out: Path
    seed: Annotated[int, Field(ge=0)]
    steps: Count
    resume: bool
    temperature: Annotated[float, Field(gt=0)]
    data: Data
    batch: Batch
    tokens: Tokens
    learning_rate: LearningRates
    objective: Objective
    validate_: Validation = Field(alias="validate")
    checkpoint: Checkpoints
    checks: Checks
    track: tuple[Literal["tensorboard", "wandb"], ...]
    samples: Annotated[int, Field(ge=0)]
    hardware: Hardware

    @model_validator(mode="after")
    def _check(self) -> Self:
        batch, hardware = self.batch, self.hardware
        if batch.questions % batch.mini_batch:
            raise ValueError(
                f"batch.questions ({batch.questions}) is no multiple of "
                f"batch.mini_batch ({batch.mini_batch})"
            )
        ranks = hardware.devices * hardware.nodes
        if batch.mini_batch * batch.signals % ranks:
            raise ValueError(
                f"batch.mini_batch x batch.signals ({batch.mini_batch * batch.signals}) is no "
                f"multiple of the devices ({ranks})"
            )
        clip = self.objective.price.clip
        if clip and clip[0] > clip[1]:
            raise ValueError("objective.price.clip must be [low, high]")
        return self

    def binding(self) -> dict[str, Any]:
        """What a checkpoint is only good for: changing any of it makes another run."""
        kept = {"pair", "seed", "temperature", "data", "batch", "tokens", "learning_rate"}
        values = self.model_dump(mode="json", by_alias=True)
        bound = {key: values[key] for key in sorted(kept | {"objective"})}
        bound["data"].pop("validation")
        bound["devices"] = self.hardware.devices * self.hardware.nodes
        return bound


Kind = TypeVar("Kind", bound=BaseModel)


def compose_settings(name: str, overrides: list[str], kind: type[Kind]) -> Kind:
    """The settings that `conf/NAME.yaml` and the overrides give.

    Raises:
        ConfigError: one line that names every fault.
    """
    GlobalHydra.instance().clear()
    try:
        with initialize_config_module("training.conf", version_base="1.3"):
            config = compose(name, overrides=overrides)
        missing = sorted(OmegaConf.missing_keys(config))
        if missing:
            raise ConfigError(f"missing: {', '.join(f'{key}=...' for key in missing)}")
        return kind.model_validate(OmegaConf.to_container(config, resolve=True))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(f"cannot read the settings: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'settings'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ConfigError(f"the settings are invalid: {faults}") from error
