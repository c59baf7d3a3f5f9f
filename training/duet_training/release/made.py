"""Which commands of the plan are done: by what they leave, and the arguments they were run with."""

import shutil
from pathlib import Path
from typing import Literal

from duet_contract.json_data import json_text, read_json
from duet_training.errors import DataError
from duet_training.release.command import Command

State = Literal["done", "to do", "again"]


class Made:
    """What was made in a directory; arguments are kept in its `made/`, a file a command.

    Where a command's result is there and no arguments are, those of now are taken for them.
    """

    def __init__(self, out: Path) -> None:
        self._out = out

    def state(self, command: Command) -> State:
        """`again`: it was made with other arguments."""
        if not command.leaves.exists():
            return "to do"
        kept = self._kept(command)
        return "done" if kept is None or kept == self._arguments(command) else "again"

    def clear(self, command: Command) -> None:
        """Takes away what was made with other arguments.

        Raises:
            DataError: all that follows rests on it, so that it cannot be made again here.
        """
        if not command.replaces:
            differs = sorted(set(self._kept(command) or ()) ^ set(self._arguments(command)))
            raise DataError(
                f"{command.name} was made with other arguments ({', '.join(differs)}), and what "
                "follows rests on it: give another directory"
            )
        for path in command.replaces:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def keep(self, command: Command) -> None:
        """Notes the arguments that a command was run with."""
        file = self._file(command)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json_text(self._arguments(command), indent=1) + "\n", "utf-8")

    def _kept(self, command: Command) -> list[str] | None:
        try:
            kept: list[str] = read_json(self._file(command))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise DataError(f"cannot read {self._file(command)}: {error}") from error
        return kept

    def _arguments(self, command: Command) -> list[str]:
        """As they are where the directory is moved to another place."""
        return [argument.replace(str(self._out), "{out}") for argument in command.arguments]

    def _file(self, command: Command) -> Path:
        return self._out / "made" / f"{command.name.replace(' ', '-')}.json"
