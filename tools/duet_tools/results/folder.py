"""The output folder: what was measured is written question by question, so that a run can go on.

`run.json` holds the settings, `questions.jsonl` a record a line, `stretches.jsonl` a line for each
stretch of time that a cell was measured in, `probe.json` what is measured once.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from duet_contract.json_data import parse_json
from duet_tools.errors import UsageProblem
from duet_tools.results.cells import Cell
from duet_tools.results.record import Record
from duet_tools.results.settings import RunSettings

_RUN, _QUESTIONS, _STRETCHES = "run.json", "questions.jsonl", "stretches.jsonl"
_PROBE = "probe.json"


class Stretch(BaseModel):
    """A stretch of time in which questions of a cell were asked. `joules`: by source.

    Below zero: taken back from one before, some of whose questions are asked again.
    """

    model_config = ConfigDict(extra="forbid")

    cell: Cell
    seconds: float
    joules: dict[str, float] = {}


class Probe(BaseModel):
    """What is measured once a run. Bytes of a connection that asks nothing; bytes a token."""

    model_config = ConfigDict(extra="forbid")

    handshake_up: int | None = None
    handshake_down: int | None = None
    bytes_per_token: dict[str, float] = {}


class Folder:
    """What a run wrote so far.

    Args:
        path: made if it is not there.
        settings: of this run.
        resume: whether to go on with what is there.

    Raises:
        UsageProblem: it exists and `resume` is not set, or holds another run, or cannot be used.
    """

    def __init__(self, path: Path, settings: RunSettings, *, resume: bool) -> None:
        self.path = path
        self.records: list[Record] = []
        self.stretches: list[Stretch] = []
        self.probe: Probe | None = None
        try:
            if path.exists() and not path.is_dir():
                raise UsageProblem(f"{path} is no folder")
            if path.is_dir() and any(path.iterdir()):
                if not resume:
                    raise UsageProblem(
                        f"{path} exists and is not empty: give another --out, or --resume to go on"
                    )
                self._read(settings)
                return
            path.mkdir(parents=True, exist_ok=True)
            (path / _RUN).write_text(settings.model_dump_json(indent=1) + "\n", "utf-8")
        except OSError as error:
            raise UsageProblem(f"cannot use {path}: {error.strerror}") from error

    def add(self, record: Record) -> None:
        """Keep a question's record."""
        self.records.append(record)
        self._append(_QUESTIONS, record)

    def add_stretch(self, stretch: Stretch) -> None:
        """Keep how long a cell was measured."""
        self.stretches.append(stretch)
        self._append(_STRETCHES, stretch)

    def keep_probe(self, probe: Probe) -> None:
        """Keep what is measured once."""
        self.probe = probe
        (self.path / _PROBE).write_text(probe.model_dump_json(indent=1) + "\n", "utf-8")

    def asked(self, cell: Cell) -> set[int]:
        """Return places of the questions that a cell has already."""
        return {record.index for record in self.records if record.cell == cell.id}

    def cells(self) -> list[Cell]:
        """Return the cells that were measured, in order."""
        return list({stretch.cell.id: stretch.cell for stretch in self.stretches}.values())

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
                self.probe = Probe.model_validate_json(probe)
            self.records = [Record.model_validate(row) for row in _rows(self.path / _QUESTIONS)]
            self.stretches = [Stretch.model_validate(row) for row in _rows(self.path / _STRETCHES)]
        except OSError as error:
            raise UsageProblem(f"{self.path} holds no run to resume: {error.strerror}") from error
        except ValidationError as error:
            raise UsageProblem(f"{self.path} holds no run of this bench") from error
        # A question that nobody could be reached for is asked again.
        self.records = [record for record in self.records if record.status != "unreachable"]


def _rows(path: Path) -> list[dict[str, object]]:
    """Return a file's rows. What a killed run left of a line is cut off, so that the next one is whole."""
    if not path.exists():
        return []
    # Bytes, since text has more ends of lines than JSON escapes, and a character may be torn.
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)
    rows = []
    for number, line in enumerate(data[:whole].split(b"\n")[:-1], 1):
        try:
            rows.append(parse_json(line))
        except ValueError:
            raise UsageProblem(
                f"{path}, line {number}, cannot be read: take it out to have it measured again"
            ) from None
    return rows
