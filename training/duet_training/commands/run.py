"""`duet-train run` and `duet-train preflight`."""

import click

from duet_training.commands.options import settings


@click.command()
@settings("train")
def run(overrides: tuple[str, ...]) -> None:
    """Train a pair jointly, with settings such as objective.budget=500."""
    from duet_training.rl.run import train

    train(list(overrides))


@click.command()
@settings("train")
def preflight(overrides: tuple[str, ...]) -> int:
    """Check in seconds whether `duet-train run` with the same settings can run.

    Ends with 1 if a check fails.
    """
    from duet_training.preflight.command import run_checks

    return run_checks(list(overrides))
