"""`duet-train run`, `duet-train preflight` and `duet-train gpu-check`."""

from pathlib import Path

import click

from duet_training.commands.options import PATH, settings

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
    _refuse_unknown(overrides)
    from duet_training.rl.run import train

    train(list(overrides))


@click.command()
@settings("train")
def preflight(overrides: tuple[str, ...]) -> int:
    """Check in seconds whether `duet-train run` with the same settings can run.

    Ends with 1 if a check fails.
    """
    _refuse_unknown(overrides)
    from duet_training.preflight.command import run_checks

    return run_checks(list(overrides))


def _refuse_unknown(overrides: tuple[str, ...]) -> None:
    """Refuse wrong settings before VERL, Ray and torch are imported, which takes many seconds."""
    from duet_training.settings.compose import compose_settings
    from duet_training.settings.run import Settings

    compose_settings("train", list(overrides), Settings)


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
