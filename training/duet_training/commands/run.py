"""`duet-train run`, `duet-train preflight` and `duet-train gpu-check`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from duet_training.commands.options import PATH, settings

if TYPE_CHECKING:
    from duet_training.settings.run import Settings

_EPILOG = """\b
Exit codes:
    0  all steps ran within the estimated memory
    1  a step failed, or the settings are invalid
    2  usage
    3  a phase used more memory than estimated
    4  this machine has no GPU
"""


@click.command()
@settings("train")
def run(overrides: tuple[str, ...]) -> None:
    """Train a pair jointly, with settings such as objective.budget=500."""
    settings = _settings_first(overrides)
    from duet_training.rl.trainer import train

    train(settings)


@click.command()
@settings("train")
def preflight(overrides: tuple[str, ...]) -> int:
    """Check in seconds whether `duet-train run` with the same settings can run.

    Ends with 1 if a check fails.
    """
    settings = _settings_first(overrides)
    from duet_training.preflight.command import run_checks

    return run_checks(settings)


def _settings_first(overrides: tuple[str, ...]) -> "Settings":
    """Refuse wrong settings before VERL, Ray and torch are imported, which takes many seconds."""
    from duet_training.settings.run import settings_from

    return settings_from(list(overrides))


@click.command("gpu-check", epilog=_EPILOG)
@click.argument("out", type=PATH)
@settings("train")
def gpu_check(out: Path, overrides: tuple[str, ...]) -> int:
    """Run three steps of a tiny pair on one GPU; write OUT/gpu-check.json.

    Prints seconds and memory of each phase next to the estimate of preflight. Settings such as
    pair=, hardware= and tokens.response= check another pair or more GPUs.
    """
    from duet_training.preflight.gpu_check import gpu_check as check

    return check(out, list(overrides))
