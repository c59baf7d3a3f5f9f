"""`duet-train paper`: plans, runs, resumes and reports the paper's tables."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from duet_report.tables import markdown
from duet_training.errors import ConfigError, TrainingError
from duet_training.experiments.paper.estimate import QWEN, Assumed, Cost, Estimates, totals
from duet_training.experiments.paper.plan import PaperRecipe, PaperStage, make_plan
from duet_training.experiments.paper.runner import PaperRunner
from duet_training.experiments.paper.trainings import TRAININGS, UNTRAINED
from duet_training.pair.description import hub_id, pair_file, read_pair
from duet_training.preflight import run as preflight
from duet_training.preflight.findings import Finding
from duet_training.preflight.memory import ModelShape, shape_of
from duet_training.settings.compose import compose_settings
from duet_training.settings.run import Settings
from duet_training.verl_backend.config import policy_config


def run_paper(arguments: SimpleNamespace) -> None:
    """Run what is left of the plan, or show it with estimates.

    Raises:
        TrainingError: The settings are invalid, or a stage failed; a second call continues.
    """
    recipe = _recipe(arguments)
    plan = make_plan(recipe)
    runner = PaperRunner(plan, recipe.out, keep_weights=arguments.keep_weights)
    # Invalid settings end here, not after hours of other stages.
    first = {s.training: s for s in reversed(plan) if s.kind == "train"}
    for stage in first.values():
        _check(stage)
    if arguments.dry_run:
        estimates = _estimates(recipe)
        costs = {stage.name: estimates.of(stage) for stage in plan}
        print(_table(plan, costs, runner, kept=arguments.keep_weights))
        return
    runner.run()
    print(f"{len(plan)} stages are done; tables in {recipe.out / 'report' / 'report.md'}")


def _recipe(arguments: SimpleNamespace) -> PaperRecipe:
    names = [*UNTRAINED, *(training.name for training in TRAININGS)]
    if unknown := [name for name in arguments.only if name not in names]:
        raise ConfigError(
            f"--only {unknown[0]}: there is no such part; there are {', '.join(names)}"
        )
    file: Path = arguments.pair
    return PaperRecipe(
        out=arguments.out.resolve(),
        # A built-in pair stays a name.
        pair=str(file if pair_file(file) != file else file.resolve()),
        instruction=read_pair(file).instruction,
        seeds=arguments.seeds,
        local=arguments.source and arguments.source.resolve(),
        trains=(f"hardware={arguments.hardware}", *arguments.overrides),
        only=tuple(arguments.only),
    )


def _check(stage: PaperStage) -> None:
    try:
        compose_settings("train", list(stage.arguments), Settings)
    except TrainingError as error:
        raise ConfigError(f"{stage.name}: {error}") from error


def _estimates(recipe: PaperRecipe) -> Estimates:
    needed = (f"pair={recipe.pair}", "out=out", "data.train=data")
    settings = compose_settings("train", [*needed, *recipe.trains], Settings)
    os.environ.setdefault("VERL_LOGGING_LEVEL", "ERROR")
    shapes = _shapes(Path(recipe.pair))
    configs = {name: policy_config(settings, name, "unknown") for name in shapes}
    phases: Mapping[str, Mapping[str, float]] = {}
    for found in preflight.memory(settings, dict(shapes), configs):
        if not isinstance(found, Finding):
            phases = found
    return Estimates(settings, shapes, phases)


def _shapes(file: Path) -> Mapping[str, ModelShape]:
    """Read the models' shapes; those of the paper's pair are known without its files."""
    pair = read_pair(file)
    names = {hub_id(file, path) for path in pair.paths.values()}
    if names == {"Qwen/Qwen3-4B", "Qwen/Qwen3-0.6B"}:
        return QWEN
    return {name: shape_of(file.parent / path.expanduser()) for name, path in pair.paths.items()}


def _table(
    plan: list[PaperStage], costs: dict[str, Cost], runner: PaperRunner, *, kept: bool
) -> str:
    left = [stage for stage in plan if not runner.done(stage)]
    rows: list[list[str]] = []
    for stage in plan:
        state = "done" if stage not in left else "to do"
        rows.append([stage.name, stage.kind, state, *_cells(costs[stage.name])])
    whole = totals(left, costs, kept=kept)
    rows.append(["**left**", "", f"{len(left)} of {len(plan)}", *_cells(whole)])
    head = ["stage", "kind", "state", "hours", "GiB of disk", "GiB of a GPU"]
    facts: dict[str, Any] = vars(Assumed())
    assumed = ", ".join(f"{name} {value:g}" for name, value in facts.items())
    return (
        f"{markdown(head, rows)}\n"
        "All figures are estimates; none was measured on a GPU. Hours: mean lengths from the paper "
        "(its tables 1, 2, 3 and 7), its step counts, and these assumptions "
        f"(duet_training/experiments/paper/estimate.py): {assumed}. Disk: checkpoints of a run "
        "until they are evaluated. GPU memory: the fullest phase by the memory model of "
        "duet-train preflight."
    )


def _cells(cost: Cost) -> list[str]:
    memory = "" if cost.memory is None else f"{cost.memory:.1f}"
    return [f"{cost.hours:.2f}", f"{cost.disk:.1f}", memory]
