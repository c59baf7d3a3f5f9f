"""What stages leave: a JSON file each, committed, from which the report is made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from duet_contract.json_data import json_text, read_json
from duet_training.errors import DataError
from duet_training.files import write_text
from duet_training.rl.metrics_log import read_metrics_log
from duet_training.rl.renamed import current_argument

SAMPLES = 3
# Alternative names of one metric; a run has the first or the next. "price": of an earlier version.
Metrics = tuple[str, ...]
LENGTH: Metrics = ("tokens/response",)
LAMBDA: Metrics = ("lambda", "price")
# With a split, of answers to the question and the signal; else of whole responses.
ACCURACY: Metrics = ("reward/guided", "reward/right")
GENERATED: Metrics = ("tokens/generated",)
VALIDATED: Metrics = ("validation/accuracy",)
VALIDATED_LENGTH: Metrics = ("validation/response_tokens",)
STEP: Metrics = ("seconds/step",)
DRIVER: Metrics = ("seconds/driver",)
VALIDATING: Metrics = ("seconds/validation",)


@dataclass(frozen=True)
class Results:
    """A directory of JSON files, one for each stage that is done."""

    directory: Path
    """Directory of the JSON files."""
    work: Path
    """Working directory, whose path is left out of the files."""
    plan: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Arguments of each stage by its name. A result of other arguments does not count."""

    def done(self, stage: str) -> bool:
        """Whether a stage has left its result.

        Raises:
            DataError: it is not JSON.
        """
        if not self._file(stage).is_file():
            return False
        if (arguments := self.plan.get(stage)) is None:
            return True
        return [current_argument(each) for each in self.read(stage)["arguments"]] == [*arguments]

    def read(self, stage: str) -> dict[str, Any]:
        """What a stage has left.

        Raises:
            DataError: it is not JSON.
        """
        file = self._file(stage)
        try:
            content: dict[str, Any] = read_json(file)
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read the result {file}: {error}") from error
        return content

    def result(self, stage: str) -> dict[str, Any] | None:
        """What a stage measured; None if it is not done."""
        return self.read(stage)["result"] if self.done(stage) else None

    def curve(self, run: str, metrics: Metrics) -> dict[int, float]:
        """The first of `metrics` that a run has, by step; empty if the run is not done."""
        curves = (self.result(run) or {"curves": {}})["curves"]
        there = [curves[metric] for metric in metrics if curves.get(metric)]
        return {int(step): float(value) for step, value in there[0]} if there else {}

    def write(self, stage: str, content: dict[str, Any]) -> None:
        """Whole or not at all; paths of this machine become `{work}`."""
        text = json_text(content, indent=1, ensure_ascii=False)
        write_text(self._file(stage), text.replace(str(self.work), "{work}") + "\n")

    def _file(self, stage: str) -> Path:
        return self.directory / f"{stage}.json"


# Of each step's metrics, what curves are drawn of.
CURVES = (
    "reward/guided",
    "reward/alone",
    "reward/right",
    "tokens/length",
    "tokens/signal",
    "tokens/response",
    "tokens/generated",
    "lambda",
    "reasoner/kl",
    "reasoner/tied_groups",
    "validation/accuracy",
    "validation/signal_tokens",
    "validation/response_tokens",
    "seconds/step",
    "seconds/driver",
    "seconds/validation",
)


def of_run(run: Path) -> dict[str, Any]:
    """Curves and sample signals, first and last, of a run's directory.

    Raises:
        DataError: they cannot be read.
    """
    rows, samples = (
        read_metrics_log(file) if file.is_file() else []
        for file in (run / "metrics.jsonl", run / "samples.jsonl")
    )
    curves = {
        name: [[row["step"], round(row[name], 4)] for row in rows if name in row] for name in CURVES
    }
    return {
        "steps": rows[-1]["step"] if rows else 0,
        "curves": {name: points for name, points in curves.items() if points},
        "samples": {"first": samples[:SAMPLES], "last": samples[-SAMPLES:]},
    }
