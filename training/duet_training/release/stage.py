"""One stage of a release, and the record of the arguments that it was run with."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from duet_contract.json_data import json_text, read_json
from duet_training.errors import DataError

State = Literal["done", "to do", "again"]


@dataclass(frozen=True)
class ReleaseStage:
    """A command (see `duet_training.experiments.stage_runner.Runnable`)."""

    name: str
    module: str
    """Package and subcommand, run as `python -m MODULE ARGUMENTS LOCATIONS`."""
    arguments: tuple[str, ...]
    output: Path
    """Exists when the stage is done."""
    locations: tuple[str, ...] = ()
    """Arguments that name locations and do not affect the output."""
    replaces: tuple[Path, ...] = ()
    """What is deleted before it runs again with other arguments. If empty, it cannot run again."""
    python: Path | None = None
    """The interpreter; None is this one."""
    waits_for: tuple[str, ...] = ()
    """Stages that must be done first."""
    usual: float = 0.0
    """Expected minutes: not known."""
    together: None = None
    """Always None: each stage runs in a separate process."""

    @property
    def kind(self) -> str:
        """No two stages of a release take the same time."""
        return self.name

    @property
    def words(self) -> tuple[str, ...]:
        """All arguments."""
        return (*self.arguments, *self.locations)


class StageRecords:
    """The arguments that the outputs of a directory were made with; a file for each in `made/`.

    An output without a record counts as made with the present arguments.
    """

    def __init__(self, out: Path) -> None:
        self._out = out

    def state(self, stage: ReleaseStage) -> State:
        """Whether a stage is done; `again` if its output was made with other arguments."""
        if not stage.output.exists():
            return "to do"
        recorded = self._recorded(stage)
        return "done" if recorded is None or recorded == self._arguments(stage) else "again"

    def clear(self, stage: ReleaseStage) -> None:
        """Deletes what was made with other arguments.

        Raises:
            DataError: All later stages depend on it, so it cannot run again in this directory.
        """
        if not stage.replaces:
            differs = sorted(set(self._recorded(stage) or ()) ^ set(self._arguments(stage)))
            raise DataError(
                f"{stage.name} was made with other arguments ({', '.join(differs)}), and later "
                "stages depend on it: name another directory"
            )
        for path in stage.replaces:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def write(self, stage: ReleaseStage) -> None:
        """Record the arguments that a stage was run with."""
        file = self._file(stage)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json_text(self._arguments(stage), indent=1) + "\n", "utf-8")

    def _recorded(self, stage: ReleaseStage) -> list[str] | None:
        try:
            recorded: list[str] = read_json(self._file(stage))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise DataError(f"cannot read {self._file(stage)}: {error}") from error
        return recorded

    def _arguments(self, stage: ReleaseStage) -> list[str]:
        """Without the directory, which may be moved."""
        return [argument.replace(str(self._out), "{out}") for argument in stage.arguments]

    def _file(self, stage: ReleaseStage) -> Path:
        return self._out / "made" / f"{stage.name.replace(' ', '-')}.json"
