"""Runs the bench (`duet-bench split`) as a command, and reuses its complete reports.

It runs in the interpreter that has vLLM. It starts the service and vLLM's OpenAI server with the
same flags in the same environment, one at a time.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duet_contract.integrity import sha256_of
from duet_contract.json_data import read_json
from duet_contract.manifest import MANIFEST_NAME
from duet_contract.pairs import find_pair
from duet_training.data.jsonl import json_lines
from duet_training.errors import DataError
from duet_training.experiments.processes import Processes
from duet_training.files import write_json

SPLIT, ALONE, DEVICE = "duet", "large-alone", "device-alone"
_BENCH = "tools/bench_split.py"
# Token limit of the large model by itself; as in `stories.LENGTHS`.
LARGE_LIMIT = 320


@dataclass(frozen=True)
class BenchRun:
    """One run of the bench."""

    pair: str
    """Name or directory of the pair."""
    data: Path
    """File of the questions."""
    questions: int
    """Number of questions, from the first of `data`."""
    modes: tuple[str, ...]
    """Modes that are compared."""
    streams: int
    """Concurrent questions."""
    folder: Path
    """Output directory of the bench."""
    engine: tuple[str, ...] = ()
    """vLLM's flags."""
    no_failures: bool = False
    """Whether a failed question invalidates the run, as in a comparison of durations."""

    def settings(self) -> dict[str, Any]:
        """Return the settings that a reused report must match: file contents instead of paths.

        Raises:
            ContractError: The pair does not exist. OSError: A file does not exist.
        """
        return {
            "pair_sha256": sha256_of(find_pair(self.pair) / MANIFEST_NAME),
            "data_sha256": sha256_of(self.data),
            "questions": self.questions,
            "modes": list(self.modes),
            "streams": self.streams,
            "large_limit": LARGE_LIMIT,
            "engine": list(self.engine),
        }

    def arguments(self) -> list[str]:
        """The bench's arguments."""
        return [
            *("--data", str(self.data), "--limit", str(self.questions)),
            *("--pair", self.pair, "--modes", ",".join(self.modes), "--link", "none"),
            *("--concurrency", str(self.streams), "--out", str(self.folder)),
            *(("--large-limit", str(LARGE_LIMIT)) if ALONE in self.modes else ()),
        ]

    def lacks(self, report: dict[str, Any]) -> str | None:
        """Describe what is missing in a report; return None if it is complete."""
        if report.get("partial"):
            return str(report["partial"])
        for mode in self.modes:
            try:
                found = condition(report, mode)
            except DataError as error:
                return str(error)
            asked, answered = found["asked"], found["answered"]
            if not found["complete"] or asked != self.questions:
                return f"{mode} was asked {asked} of {self.questions} questions"
            if self.no_failures and answered < asked:
                return f"{mode} failed at {asked - answered} questions: {found.get('failures')}"
            if "accuracy" not in found:
                return f"{mode} has no accuracy: no question was answered, or one has no reference"
        return None


def whole_report(asked: BenchRun) -> dict[str, Any] | None:
    """Read the complete report of a run with the same settings; None without such a report."""
    report = _read(asked.folder / "report.json")
    if report is None or _read(_beside(asked.folder)) != asked.settings():
        return None
    return report if asked.lacks(report) is None else None


def run_bench(asked: BenchRun, python: Path, limit_s: float, *, resume: bool) -> dict[str, Any]:
    """Run the bench unless its report exists.

    If `resume`, an interrupted run continues; otherwise it starts again.

    Raises:
        TrainingError: The bench failed, exceeded `limit_s`, or its report is incomplete.
        KeyboardInterrupt: The run was interrupted; all its processes have ended.
    """
    if found := whole_report(asked):
        return found
    settings, beside = asked.settings(), _beside(asked.folder)
    goes_on = resume and _read(beside) == settings and (asked.folder / "run.json").is_file()
    if not goes_on:
        shutil.rmtree(asked.folder, ignore_errors=True)
    write_json(beside, settings)
    command = [str(python), _BENCH, *asked.arguments()]
    Processes().run(
        f"the bench ({asked.folder.name})",
        [*command, *(["--resume"] if goes_on else []), "--", *asked.engine],
        asked.folder.with_suffix(".log"),
        limit_s=limit_s,
    )
    report = _read(asked.folder / "report.json")
    if report is None:
        raise DataError(f"the bench left no report in {asked.folder}")
    if lacking := asked.lacks(report):
        raise DataError(f"the report in {asked.folder} is not whole: {lacking}")
    return report


def condition(report: dict[str, Any], mode: str) -> dict[str, Any]:
    """Return a report's only condition of a mode.

    Raises:
        DataError: The report has no such condition, or more than one.
    """
    found: list[dict[str, Any]] = [
        each for each in report.get("conditions", ()) if each["condition"]["mode"] == mode
    ]
    if len(found) != 1:
        raise DataError(f"the bench's report has {len(found)} conditions of {mode}, not one")
    return found[0]


def recorded(folder: Path, mode: str) -> list[dict[str, Any]]:
    """Read what the bench recorded of each question that a mode was asked; none without a run.

    Raises:
        DataError: The records cannot be read.
    """
    file = folder / "questions.jsonl"
    rows = json_lines(file) if file.is_file() else ()
    # "cell": of an earlier version of the bench.
    named = ((row.get("condition") or row["cell"], row) for _, row in rows)
    return [row for name, row in named if name.startswith((f"{mode}@", f"{mode}/"))]


def _beside(folder: Path) -> Path:
    """Return the file of the run's settings, outside the folder that the bench owns."""
    return folder.with_name(f"{folder.name}.asked.json")


def _read(file: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = read_json(file)
    except (OSError, ValueError):
        return None
    return content
