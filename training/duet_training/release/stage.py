"""Stages of a release, what the plans of both pairs share, and the records of their arguments."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from duet_contract.json_data import read_json
from duet_training.errors import DataError
from duet_training.files import write_json

State = Literal["done", "to do", "again"]
QUESTIONS = 500
"""Questions of each held-out set."""
# The evaluation that measures what signals carry.
SIGNAL = "signal"
# Questions unlike those in training: longer ones, held-out templates.
HELD_OUT = ("wide", "wide-long", "wide-other")
PRIVATE_HELD_OUT = ("problems", "problems-other")
"""The same of a pair with private quantities."""
SET_NAMES = {
    "wide": "word problems of the trained templates, held out",
    "wide-long": "longer problems: five and six steps",
    "wide-other": "held-out templates",
    "problems": "word problems of the trained templates",
    "problems-other": "held-out templates",
}
"""What pages call the generated sets."""


def set_name(name: str) -> str:
    """Return what pages call a set of questions."""
    return SET_NAMES.get(name, f"`{name}`")


@dataclass(frozen=True)
class ReleaseStage:
    """A command (see `duet_training.experiments.stage_runner.Runnable`)."""

    name: str
    """Name of the stage."""
    module: str
    """Package and subcommand, run as `python -m MODULE ARGUMENTS LOCATIONS`."""
    arguments: tuple[str, ...]
    """Arguments of the command that affect the output."""
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


def served(
    out: Path, real: Mapping[str, Path], serving_python: Path, peer: str | None
) -> ReleaseStage:
    """Whole sets, as the pair in `out/pair` is served."""
    result = out / "served.json"
    sets = [part for name, file in real.items() for part in ("--set", f"{name}={file}")]
    return ReleaseStage(
        "served",
        "duet_training release served",
        (str(out), *sets, *(("--peer", peer) if peer else ())),
        result,
        locations=("--serving-python", str(serving_python)),
        replaces=(result,),
    )


def wall_clock(out: Path, serving_python: Path, data: Path | None = None) -> ReleaseStage:
    """Seconds of the split, and of a reasoner that answers `data` by itself."""
    result = out / "wall_clock.json"
    return ReleaseStage(
        "wall clock",
        "duet_training release wall-clock",
        (str(out), *(("--data", str(data)) if data else ())),
        result,
        locations=("--serving-python", str(serving_python)),
        replaces=(result,),
    )


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
        write_json(self._file(stage), self._arguments(stage))

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
