"""Several evaluations, one after the other (`duet-train evaluate --batch FILE`).

A line of FILE is one of them: what follows `duet-train evaluate`, quoted as in a shell; one that
begins with # is left out. All lines are read before anything is done. Evaluations whose pair,
limits and hardware are alike share models that are started once, which takes longer than answering
some hundred questions of a small pair. Each writes its own `out`; one that fails ends the rest.
Answers are those that each would have had by itself, but where servers give requests no seed of
their own (`hardware.seeded_requests=false`): there they are other samples of the same models.
"""

import shlex
from pathlib import Path

import ray

from duet_contract.errors import ContractError
from duet_training.errors import (
    ClusterError,
    ConfigError,
    EvaluationError,
    TrainingError,
    one_line,
)
from duet_training.evaluation.methods import METHODS
from duet_training.evaluation.model_cache import ModelCache
from duet_training.evaluation.run import EvaluationSettings, evaluated, outcome
from duet_training.settings.compose import compose_settings
from duet_training.verl_backend.cluster import worker_failed


def read_batch(file: Path) -> list[EvaluationSettings]:
    """The settings of each line.

    Raises:
        ConfigError: the file cannot be read, holds none, or a line is wrong: its number says which.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {one_line(error)}") from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            if not line.lstrip().startswith("#") and (overrides := shlex.split(line)):
                found.append(compose_settings("evaluate", overrides, EvaluationSettings))
        except (ValueError, TrainingError) as error:
            raise ConfigError(f"{file}, line {number}: {one_line(error)}") from error
    if not found:
        raise ConfigError(f"{file} holds no evaluation")
    written: set[Path] = set()
    for settings in found:
        if (out := settings.out.resolve()) in written:
            raise ConfigError(f"{file}: two evaluations write {out}")
        written.add(out)
    return found


def evaluate_batch(file: Path) -> None:
    """Does the evaluations of a file, and prints what came of each.

    Raises:
        TrainingError: a line is wrong, or one cannot be done; those before it are written.
    """
    asked = read_batch(file)
    models = ModelCache({name for each in asked for name in METHODS[each.method](each).uses})
    try:
        for settings in asked:
            try:
                result = evaluated(settings, models)
            except (TrainingError, ContractError, OSError) as error:
                raise EvaluationError(f"{one_line(error)} (writing {settings.out})") from error
            except ray.exceptions.RayError as error:
                raise ClusterError(f"{worker_failed(error)} (writing {settings.out})") from error
            print(outcome(settings, result), flush=True)
    finally:
        models.close()
