"""The stages of the paper's tables, in order: the main comparison first, the report last."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from duet_training.experiments.paper.trainings import (
    SAMPLES,
    SETS,
    TRAININGS,
    UNTRAINED,
    PaperTraining,
)

# The released code's, which is not the trainer's default.
AGGREGATION = "objective.loss_aggregation=micro-batch-token-mean"
Kind = Literal["data", "train", "evaluate", "report"]


@dataclass(frozen=True)
class PaperStage:
    """A part of the plan (see `duet_training.experiments.stage_runner.Runnable`)."""

    name: str
    """Name of the stage."""
    kind: Kind
    """What the stage does."""
    lines: tuple[tuple[str, ...], ...]
    """Arguments of its command; of an evaluation, those of each one in the same process."""
    waits_for: tuple[str, ...] = ()
    """Stages that must be done first."""
    training: PaperTraining | None = None
    """What it trains, or whose checkpoint it evaluates."""
    step: int | None = None
    """The evaluated checkpoint's."""
    usual: float = 0.0
    """Expected minutes: the dry run estimates them."""
    together: None = None
    """Always None: a stage needs all devices."""

    @property
    def arguments(self) -> tuple[str, ...]:
        """What its result is bound to."""
        return tuple(word for line in self.lines for word in line)


@dataclass(frozen=True)
class PaperRecipe:
    """What all stages share."""

    out: Path
    """Directory of everything."""
    pair: str
    """YAML file or built-in name of the pair."""
    instruction: str
    """Whose instruction the models read: that of the pair's description."""
    seeds: int
    """Number of seeds of each training."""
    local: Path | None = None
    """Directory with a copy of each data set, by its name."""
    trains: tuple[str, ...] = ()
    """Overrides of every training and evaluation, such as the hardware."""
    only: tuple[str, ...] = ()
    """Names of trainings and of untrained methods; empty for all."""


def make_plan(recipe: PaperRecipe) -> list[PaperStage]:
    """List every stage; each comes after those that it waits for."""
    trainings = [t for t in TRAININGS if not recipe.only or t.name in recipe.only]
    data = [_data(recipe, name) for name in dict.fromkeys(t.data for t in trainings)]
    tests = [_data(recipe, name) for name in SETS]
    stages = [*data, *tests]
    seeds = range(recipe.seeds)
    compared = [name for name in UNTRAINED if not recipe.only or name in recipe.only]
    untrained = [_untrained(recipe, name, seed) for name in compared for seed in seeds]
    # All trainings with one seed first: every table has a row before any has a second seed.
    trained = [
        stage
        for seed in seeds
        for training in trainings
        for stage in (
            _train(recipe, training, seed),
            *(_evaluate(recipe, training, seed, step) for step in training.at),
        )
    ]
    stages += [*untrained, *trained]
    out = recipe.out
    asked = (str(out / "evaluations"), str(out / "runs"), "--out", str(out / "report"))
    return [*stages, PaperStage("report", "report", (asked,), tuple(s.name for s in stages))]


def run_name(training: PaperTraining, seed: int) -> str:
    """Name a training's run with a seed."""
    return f"{training.name}-seed{seed}"


def _data(recipe: PaperRecipe, name: str) -> PaperStage:
    words = [name, "--out", str(recipe.out / "data" / name), "--pair", recipe.pair]
    words += ["--instruction", recipe.instruction]
    if recipe.local:
        words += ["--from", str(recipe.local / name)]
    return PaperStage(f"data-{name}", "data", (tuple(words),))


def _train(recipe: PaperRecipe, training: PaperTraining, seed: int) -> PaperStage:
    data = recipe.out / "data" / training.data
    words = (
        f"pair={recipe.pair}",
        f"out={recipe.out / 'runs' / run_name(training, seed)}",
        f"data.train={data / 'train.parquet'}",
        f"data.validation={data / 'validation.parquet'}",
        f"method={training.method}",
        f"seed={seed}",
        f"steps={training.steps}",
        # An interrupted training loses ten steps at most; those that are evaluated stay.
        "checkpoint.every=10",
        "checkpoint.keep=1",
        f"checkpoint.milestones=[{','.join(map(str, training.at))}]",
        AGGREGATION,
        *training.overrides,
        *recipe.trains,
    )
    waits = (f"data-{training.data}",)
    return PaperStage(run_name(training, seed), "train", (words,), waits, training)


def _evaluate(recipe: PaperRecipe, training: PaperTraining, seed: int, step: int) -> PaperStage:
    run = run_name(training, seed)
    weights = recipe.out / "runs" / run / "checkpoints" / f"step_{step}"
    how = (f"method={training.method}", f"weights={weights}")
    lines = _lines(recipe, f"{run}-{step}", training.sets, seed, how)
    if training.method == "duet" and step == training.steps:
        # What signals carry is measured at the end, on one set: it starts the models again.
        measured = ("method=signal", *how[1:])
        lines = (
            *_lines(recipe, f"{run}-{step}", training.sets[:1], seed, measured),
            *lines[1:],
        )
    waits = (run, *(f"data-{name}" for name in training.sets))
    return PaperStage(f"{run}@{step}", "evaluate", lines, waits, training, step)


def _untrained(recipe: PaperRecipe, name: str, seed: int) -> PaperStage:
    lines = _lines(recipe, f"{name}-seed{seed}", SETS, seed, UNTRAINED[name])
    return PaperStage(f"{name}-seed{seed}", "evaluate", lines, tuple(f"data-{s}" for s in SETS))


def _lines(
    recipe: PaperRecipe, name: str, sets: Sequence[str], seed: int, how: tuple[str, ...]
) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (
            f"pair={recipe.pair}",
            f"data.train={recipe.out / 'data' / data / 'test.parquet'}",
            f"out={recipe.out / 'evaluations' / f'{name}@{data}.json'}",
            f"seed={seed}",
            f"runs={SAMPLES.get(data, 1)}",
            *how,
            *recipe.trains,
        )
        for data in sets
    )
