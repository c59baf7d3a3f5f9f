"""The output folder: measurements are written per question, so that a run can resume.

`run.json` holds the settings, `questions.jsonl` a record a line, `windows.jsonl` a line for each
period of time that a condition was measured in, `probe.json` what is measured once.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, ValidationError

from duet_tools.errors import UsageProblem
from duet_tools.files import rows
from duet_tools.results.conditions import RENAMED, Condition
from duet_tools.results.record import Record
from duet_tools.results.settings import RunSettings

_RUN, _QUESTIONS, _WINDOWS = "run.json", "questions.jsonl", "windows.jsonl"
_PROBE = "probe.json"
# Name of the file of windows in runs of earlier versions.
_EARLIER_WINDOWS = "stretches.jsonl"


class ConditionWindow(BaseModel):
    """A period of time in which questions of a condition were asked.

    Negative values correct an earlier period, some of whose questions are asked again.
    """

    model_config = ConfigDict(extra="forbid")

    condition: Annotated[Condition, RENAMED]
    """The condition."""
    seconds: float
    """Duration of the period."""
    joules: dict[str, float] = {}
    """Energy by source."""


class WireProbe(BaseModel):
    """Values that are measured once per run."""

    model_config = ConfigDict(extra="forbid")

    handshake_up: int | None = None
    """Bytes to the cloud on a connection without a question; None: not measured."""
    handshake_down: int | None = None
    """Bytes to the device on a connection without a question; None: not measured."""
    bytes_per_token: dict[str, float] = {}
    """Bytes per signal token, by encoding."""


class Folder:
    """What a run wrote so far.

    Args:
        path: created if it does not exist.
        settings: of this run.
        resume: whether to continue an existing run.

    Raises:
        UsageProblem: it exists and `resume` is not set, or holds another run, or cannot be used.
    """

    def __init__(self, path: Path, settings: RunSettings, *, resume: bool) -> None:
        self.path = path
        self.records: list[Record] = []
        self.windows: list[ConditionWindow] = []
        self.probe: WireProbe | None = None
        try:
            if path.exists() and not path.is_dir():
                raise UsageProblem(f"{path} is not a folder")
            if path.is_dir() and any(path.iterdir()):
                if not resume:
                    raise UsageProblem(
                        f"{path} exists and is not empty: give another --out, or continue it with --resume"
                    )
                self._read(settings)
                return
            path.mkdir(parents=True, exist_ok=True)
            (path / _RUN).write_text(settings.model_dump_json(indent=1) + "\n", "utf-8")
        except OSError as error:
            raise UsageProblem(f"cannot use {path}: {error.strerror}") from error

    def add(self, record: Record) -> None:
        """Store a question's record."""
        self.records.append(record)
        self._append(_QUESTIONS, record)

    def add_window(self, window: ConditionWindow) -> None:
        """Store how long a condition was measured."""
        self.windows.append(window)
        self._append(_WINDOWS, window)

    def keep_probe(self, probe: WireProbe) -> None:
        """Store the values that are measured once."""
        self.probe = probe
        (self.path / _PROBE).write_text(probe.model_dump_json(indent=1) + "\n", "utf-8")

    def asked(self, condition: Condition) -> set[int]:
        """Return the indices of the questions that a condition has already."""
        return {record.index for record in self.records if record.condition == condition.id}

    def conditions(self) -> list[Condition]:
        """Return the conditions that were measured, in order."""
        return list({window.condition.id: window.condition for window in self.windows}.values())

    def write(self, files: Iterable[tuple[str, str]]) -> None:
        """Write files by their names."""
        for name, text in files:
            (self.path / name).write_text(text, "utf-8")

    def _append(self, name: str, entry: BaseModel) -> None:
        with (self.path / name).open("a", encoding="utf-8") as file:
            file.write(entry.model_dump_json(exclude_defaults=True) + "\n")

    def _read(self, settings: RunSettings) -> None:
        try:
            text = (self.path / _RUN).read_text("utf-8")
            other = RunSettings.model_validate_json(text)
            if differs := settings.differs_in(other):
                raise UsageProblem(
                    f"{self.path} holds another run: it differs in {', '.join(differs)}"
                )
            if (self.path / _PROBE).exists():
                probe = (self.path / _PROBE).read_text("utf-8")
                self.probe = WireProbe.model_validate_json(probe)
            if (earlier := self.path / _EARLIER_WINDOWS).exists():
                earlier.rename(self.path / _WINDOWS)
            self.records = [Record.model_validate(row) for row in rows(self.path / _QUESTIONS)]
            self.windows = [
                ConditionWindow.model_validate(row) for row in rows(self.path / _WINDOWS)
            ]
        except OSError as error:
            raise UsageProblem(f"{self.path} holds no run to resume: {error.strerror}") from error
        except ValidationError as error:
            raise UsageProblem(f"{self.path} holds no run of this bench") from error
        # A question whose server was unreachable is asked again.
        self.records = [record for record in self.records if record.status != "unreachable"]
