"""The settings of a run, validated before it starts. `settings/conf/` has the default values."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Generic, Literal, Self, TypeVar

from pydantic import Field, model_validator

from duet_training.rl.baselines import BASELINES, LengthGrpo, ThinkPrune
from duet_training.rl.objective.aggregation import LossAggregation
from duet_training.rl.objective.reads import Read
from duet_training.rl.objective.rewards import Counted, UtilityBaseline
from duet_training.rl.objective.schedule import dual_ascent
from duet_training.settings.compose import compose_settings
from duet_training.settings.hardware import Hardware
from duet_training.settings.types import (
    Count,
    NotNegative,
    Part,
    Positive,
    Rate,
    Share,
    Signed,
    Temperature,
    TopK,
    Whole,
)
from duet_training.verl_backend.generation import Sampling

Kind = TypeVar("Kind")
SetName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class Data(Part):
    """Parquet files of `duet-train data prepare`."""

    train: Path | Annotated[tuple[Path, ...], Field(min_length=1)]
    """One file or several files to train on."""
    validation: Path | dict[SetName, Path] | None
    """One held-out set, or several by name, each of which has curves of its own."""
    max_prompt: Count
    """Maximum prompt length in tokens of the reasoner."""
    verifier: Annotated[str, Field(min_length=1)] = "rows"
    """Verifier of all answers: `rows` for the one that each row names, a name of
    `duet_training.evaluation.verifiers.registry.VERIFIERS`, or `package.module:Class`."""
    verifier_processes: Count
    """Number of processes that verify answers."""
    verifier_seconds: Positive
    """Time limit of one verification in seconds."""

    @property
    def held_out(self) -> dict[str, Path]:
        """The held-out sets by name; the name of a single set is empty."""
        if self.validation is None:
            return {}
        return {"": self.validation} if isinstance(self.validation, Path) else self.validation


class BatchSettings(Part):
    """Sizes of a step and of a mini-batch."""

    questions: Count
    """Questions per step."""
    signals: Annotated[int, Field(ge=2, le=2**31 - 1)]
    """Signals per question."""
    answers: Count
    """Answers per signal."""
    mini_batch: Count
    """Questions per mini-batch of the reasoner, which holds all their signals."""
    decoder_counts: Literal["signals", "questions"]
    """What `mini_batch` counts for the decoder, whose mini-batch holds the answers to that many
    signals (the released code: 8 updates a step by default), or to all signals of that many
    questions (2 updates)."""


class Tokens(Part):
    """Limits in tokens."""

    response: Count
    """Maximum tokens of the reasoner's response."""
    answer: Count
    """Maximum tokens of the decoder's answer."""
    decoder_prompt: Count
    """Maximum tokens of the decoder's whole prompt."""


class Each(Part, Generic[Kind]):
    """A value for each model."""

    reasoner: Kind
    """Value of the reasoner."""
    decoder: Kind
    """Value of the decoder."""

    def of(self, policy: str) -> Kind:
        """Return the value of a policy, "reasoner" or "decoder"."""
        return self.reasoner if policy == "reasoner" else self.decoder


class AdapterSettings(Part):
    """A low-rank adapter (LoRA, arXiv 2106.09685) on every linear layer of a model's blocks.

    The adapter's output is multiplied by `alpha` / `rank`.
    """

    rank: Whole = 0
    """Rank; 0 trains all weights without an adapter."""
    alpha: Count = 16
    """Numerator of the scale of the adapter's output."""
    first_layer: Whole = 0
    """First layer with an adapter; gradients need not go through the layers below it."""
    path: Path | None = None
    """PEFT's files of the initial adapter, of the same shape; None starts a new adapter."""

    @model_validator(mode="after")
    def _has_a_rank(self) -> Self:
        if self.path and not self.rank:
            raise ValueError(
                f"path={self.path} is of an adapter: give its rank, alpha, first_layer"
            )
        return self


class Adapters(Each[AdapterSettings]):
    """The adapter of each model. A model with an adapter trains only the adapter."""

    reasoner: AdapterSettings = AdapterSettings()
    """Adapter of the reasoner."""
    decoder: AdapterSettings = AdapterSettings()
    """Adapter of the decoder."""


class Kl(Part):
    """KL to the initial reasoner."""

    coefficient: NotNegative
    """beta; with 0 the run has no reference model."""
    kind: Literal["k1", "k2", "k3", "abs"]
    """VERL's estimator."""


class LengthPenalty(Part):
    """Length penalty (lambda): start value and schedule (`duet_training.rl.objective.schedule`)."""

    schedule: Literal["dual_ascent", "constant"]
    """Whether lambda follows the mean length, or is constant."""
    start: Signed
    """Lambda of the first step, in units of reward."""
    rate: NotNegative
    """Step size of dual ascent."""
    clip: tuple[Signed, Signed] | None
    """Lower and upper bound of lambda; None: lambda is not bounded."""


class Objective(Part):
    """Every switch of the method.

    The defaults in `conf/train.yaml` are the released code's, except for `loss_aggregation`.
    """

    reward: Literal["sampled", "dense"] = "sampled"
    """What a signal is rewarded with: scores of sampled answers, or log p_m(y* | x, z) of the
    reference y* (`duet_training.rl.dense`)."""
    dense_answer: Annotated[str, Field(pattern="ANSWER")] = r"\boxed{ANSWER}"
    """y* of the dense reward; `ANSWER` is the reference."""
    read: Read = Read.WHOLE
    """What the decoder reads of a signal in training (`duet_training.rl.objective.reads`)."""
    budget: Positive
    """B in tokens: the length that the penalty is relative to."""
    counted: Counted
    """Which tokens of the reasoner count as |z|."""
    baseline: UtilityBaseline
    """What the decoder's accuracy without a signal is the mean of."""
    length_on_success_only: bool
    """Subtract the length penalty from right answers alone."""
    divide_by_std: bool
    """Divide advantages by the standard deviation of their group, as in GRPO."""
    stop_at_end_of_reasoning: bool
    """Stop the reasoner at the end of its reasoning, as serving does."""
    train_decoder: bool
    """Train the decoder; otherwise its weights do not change."""
    decoder_learns_from: Literal["guided", "guided_and_alone"]
    """Answers that the decoder is trained on: those with a signal, or all."""
    loss_aggregation: LossAggregation
    """How token losses of a mini-batch become one loss (`duet_training.rl.objective.aggregation`)."""
    micro_batch: Each[Count]
    """Responses of a micro-batch of `loss_aggregation=micro-batch-token-mean`."""
    kl: Kl
    """KL penalty of the reasoner."""
    length_penalty: LengthPenalty
    """Length penalty (lambda)."""

    @model_validator(mode="after")
    def _check_reward(self) -> Self:
        if self.reward == "dense" and self.length_on_success_only:
            raise ValueError(
                "length_on_success_only needs scores from 0 to 1: reward=dense has log-probs"
            )
        return self

    @property
    def samples_alone(self) -> bool:
        """Whether answers without a signal are sampled: for r_m, or for the decoder."""
        return self.reward == "sampled" or self.decoder_learns_from == "guided_and_alone"

    def next_penalty(self, penalty: float, mean_length: float) -> float:
        """Compute the next step's length penalty from this one's and the mean |z| in tokens."""
        if self.length_penalty.schedule == "constant":
            return penalty
        rate, clip = self.length_penalty.rate, self.length_penalty.clip
        return dual_ascent(penalty, mean_length, budget=self.budget, rate=rate, clip=clip)


class Validation(Part):
    """Answers to held-out questions during training."""

    every: Whole
    """Steps between validations; 0 disables validation."""
    questions: Count
    """Questions of each set; its first ones."""
    temperature: Temperature
    """Temperature of the reasoner; 0 is greedy. The decoder is always greedy."""


class CheckpointSettings(Part):
    """Checkpoints during training; the run also saves one at the end."""

    every: Count
    """Steps between checkpoints."""
    keep: Count
    """Number of newest checkpoints to keep."""
    milestones: tuple[Count, ...]
    """Steps whose checkpoints are saved and kept, in addition to those."""

    def kept(self, steps: int) -> int:
        """Return the most checkpoints that a run of `steps` steps keeps."""
        return self.keep + sum(step <= steps for step in set(self.milestones))

    def due(self, step: int, steps: int) -> bool:
        """Return whether a run of `steps` steps saves a checkpoint after `step`."""
        return step % self.every == 0 or step in self.milestones or step == steps


class LogProbChecks(Part):
    """Tolerance of the difference between rollout's and trainer's log-probs.

    In float32 no token may differ by more than `log_prob_tolerance`. In bfloat16 single tokens
    always do, so the monitor uses the mean over all tokens (`log_prob_of=mean`).
    """

    log_prob_of: Literal["largest", "mean"]
    """Difference that is compared: the largest of a token, or the mean."""
    log_prob_tolerance: Positive
    """Largest difference in nats."""
    on_disagreement: Literal["stop", "warn"]
    """What happens if the difference is larger."""


class Settings(Part):
    """Settings of a training run."""

    methods: ClassVar[Collection[str]] = ("duet", *BASELINES)
    trains: ClassVar[bool] = True

    method: str
    """What is trained: `duet`, or a baseline that trains the reasoner alone."""
    pair: Path
    """YAML file of both models and their prompts."""
    out: Path
    """Directory of the run."""
    seed: Whole
    """Seed of the run."""
    steps: Count
    """Number of training steps."""
    resume: bool
    """Continue from the last checkpoint in `out`."""
    temperature: Annotated[float, Field(gt=0, le=100)]
    """Sampling temperature of training."""
    top_p: Share
    """Share of the probability that the sampled tokens hold; 1 allows all tokens."""
    top_k: TopK
    """Number of most likely tokens that may be sampled; -1 allows all tokens."""
    data: Data
    """Data of training and validation."""
    batch: BatchSettings
    """Sizes of a step."""
    tokens: Tokens
    """Limits in tokens."""
    learning_rate: Each[Rate]
    """Learning rate of each model."""
    lora: Adapters
    """Adapter of each model."""
    objective: Objective
    """Switches of the method."""
    thinkprune: ThinkPrune
    """Settings of `method=thinkprune`."""
    lgrpo: LengthGrpo
    """Settings of `method=lgrpo`."""
    validate_: Validation = Field(alias="validate")
    """Validation during training."""
    checkpoint: CheckpointSettings
    """Checkpoints during training."""
    checks: LogProbChecks
    """Comparison of log-probs between rollout and trainer."""
    track: tuple[Literal["tensorboard", "wandb"], ...]
    """Services that receive the metrics."""
    samples: Whole
    """Number of signals that `samples.jsonl` gets in each step, with their answers."""
    verl: tuple[str, ...]
    """Overrides of VERL's settings, after all others; a checkpoint is bound to them."""
    hardware: Hardware
    """Devices, processes and engine settings."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.method not in self.methods:
            raise ValueError(f"method={self.method} is not one of {', '.join(self.methods)}")
        clip = self.objective.length_penalty.clip
        if clip and clip[0] > clip[1]:
            raise ValueError("objective.length_penalty.clip must be [low, high]")
        if self.trains:
            self._check_batch()
            self._check_sampling()
        return self

    def _check_batch(self) -> None:
        batch = self.batch
        if batch.questions % batch.mini_batch:
            raise ValueError(
                f"batch.questions ({batch.questions}) is not a multiple of "
                f"batch.mini_batch ({batch.mini_batch})"
            )
        for policy, rows, what in (
            ("reasoner", batch.mini_batch * batch.signals, "batch.mini_batch x batch.signals"),
            ("decoder", self.decoder_rows, "the decoder's mini-batch in answers"),
        ):
            if policy not in self.policies:
                continue
            ranks = self.hardware.ranks_of(policy)
            if rows % ranks:
                raise ValueError(f"{what} ({rows}) is not a multiple of the devices ({ranks})")
            micro = self.objective.micro_batch.of(policy)
            rule = self.objective.loss_aggregation
            if rule == "micro-batch-token-mean" and rows % micro:
                raise ValueError(
                    f"{what} ({rows}) is not a multiple of objective.micro_batch.{policy} ({micro})"
                )

    def _check_sampling(self) -> None:
        if "decoder" not in self.policies and self.objective.stop_at_end_of_reasoning:
            raise ValueError(
                f"objective.stop_at_end_of_reasoning leaves method={self.method} without an answer"
            )
        truncated = self.top_p < 1 or self.top_k > 0
        if self.hardware.platform == "cuda" and truncated and self.temperature != 1:
            raise ValueError(
                "vLLM gives no log-probs before top_p and top_k at a temperature other than 1: "
                "sample with temperature=1, or without top_p and top_k"
            )

    @property
    def policies(self) -> tuple[str, ...]:
        """The models that take part in training."""
        return ("reasoner", "decoder") if self.method == "duet" else ("reasoner",)

    @property
    def decoder_rows(self) -> int:
        """Guided answers in one mini-batch of the decoder."""
        each = self.batch.signals if self.batch.decoder_counts == "questions" else 1
        return self.batch.mini_batch * each * self.batch.answers

    def sampling(self, tokens: int, stops: Sequence[int]) -> Sampling:
        """Make the sampling parameters of a response of at most `tokens` that ends at `stops`."""
        return Sampling(tokens, self.temperature, tuple(stops), self.top_p, self.top_k)


def settings_from(overrides: list[str]) -> Settings:
    """Compose the settings of a training from overrides such as `objective.budget=500`.

    Raises:
        ConfigError: The settings are invalid.
    """
    return compose_settings("train", overrides, Settings)
