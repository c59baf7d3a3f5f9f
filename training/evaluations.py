"""`python -m training.evaluations FILE`: several evaluations, one after the other.

A line of FILE is one of them: what follows `python -m training.evaluate`, quoted as in a shell; one
that begins with # is left out. All lines are read before anything is done. Evaluations whose pair,
limits and hardware are alike share models that are started once, which takes longer than answering
some hundred questions of a small pair. Each writes its own `out`; one that fails ends the rest.
Answers are those that each would have had by itself, but where servers give requests no seed of
their own (`hardware.seeded_requests=false`): there they are other samples of the same models.
"""

import argparse
import shlex
import sys
from pathlib import Path

from training.errors import ConfigError, TrainingError, one_line
from training.evaluate import (
    FAILURES,
    METHODS,
    EvaluationSettings,
    evaluated,
    failure,
    outcome,
)
from training.settings import compose_settings
from training.started import Started


def read(file: Path) -> list[EvaluationSettings]:
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
    written = [settings.out.resolve() for settings in found]
    if twice := next((out for out in written if written.count(out) > 1), None):
        raise ConfigError(f"{file}: two evaluations write {twice}")
    return found


def main(argv: list[str] | None = None) -> int:
    """0, or 1 with one line on standard error."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluations", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE")
    arguments = parser.parse_args(argv)
    started, settings = Started(), None
    try:
        asked = read(arguments.file)
        started = Started({name for each in asked for name in METHODS[each.method](each).uses})
        for settings in asked:
            print(outcome(settings, evaluated(settings, started)), flush=True)
    except FAILURES as error:
        where = f" (writing {settings.out})" if settings else ""
        print(f"training.evaluations: {failure(error)}{where}", file=sys.stderr)
        return 1
    finally:
        started.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
