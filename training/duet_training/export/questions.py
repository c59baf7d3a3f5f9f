"""The questions that parity is measured on, with what scores their answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duet_report.intervals import bootstrap_mean, bounds
from duet_training.data.rows import Problem, paths_of, read_rows
from duet_training.data.selection import fitting
from duet_training.evaluation.scoring import Scores, Verifiers
from duet_training.export.settings import ParitySettings
from duet_training.export.source import Trained
from duet_training.pair.prompting import PairPrompts


@dataclass(frozen=True)
class Questions:
    """Questions that parity is measured on."""

    files: tuple[Path, ...]
    """Files that they are read from."""
    problems: list[Problem]
    """Problems that fit into the limits that the run trained with."""
    too_long: int
    """Number of problems that do not fit."""
    prompts: PairPrompts
    """Prompts of the pair."""
    verifiers: Verifiers
    """Verifiers of the problems."""

    @property
    def name(self) -> str:
        """Of the file, or files, that they are from."""
        return ", ".join(file.name for file in self.files)

    def score(self, answers: Sequence[str]) -> Scores:
        """Each answer's score, (N,)."""
        return self.verifiers.score(self.problems, answers)

    def close(self) -> None:
        """End the verifiers' processes."""
        self.verifiers.close()


def open_questions(trained: Trained, settings: ParitySettings) -> Questions:
    """Read the data set that the settings name, or the run's own.

    Raises:
        DataError: it cannot be read, or no question fits.
    """
    prompts = PairPrompts(trained.pair)
    files = paths_of(settings.data or trained.data)
    rows = read_rows(files)
    problems, too_long = fitting(rows, prompts, trained.lengths.prompt)
    problems = problems[: settings.questions]
    limits = settings.verifier_processes, settings.verifier_seconds
    verifiers = Verifiers.of(problems, *limits, computed=prompts.computed)
    return Questions(files, problems, too_long, prompts, verifiers)


def accuracy(scores: Scores) -> dict[str, Any]:
    """Mean and 95% interval over questions."""
    return {
        "accuracy": float(scores.mean()),
        "accuracy_95": bounds(bootstrap_mean(scores[:, None])),
    }


def accuracy_drop(reference: Scores, other: Scores) -> dict[str, Any]:
    """How much lower `other` is, question by question, with its 95% interval."""
    drop = reference - other
    return {
        "accuracy_drop": float(drop.mean()),
        "accuracy_drop_95": bounds(bootstrap_mean(drop[:, None])),
    }
