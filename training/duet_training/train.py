"""`python -m duet_training.train`: joint training of a pair. Settings: `training/duet_training/settings/conf/`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from duet_training.commands import run_command

if TYPE_CHECKING:
    from duet_training.settings.run import Settings


def settings_from(overrides: list[str]) -> Settings:
    """The settings that `conf/train.yaml` and overrides like `objective.budget=500` give.

    Raises:
        ConfigError: an override that Hydra cannot read, a value missing, or one that is invalid.
    """
    from duet_training.settings.run import Settings, compose_settings

    return compose_settings("train", overrides, Settings)


def main(overrides: list[str] | None = None) -> int:
    """Trains and returns the command's exit code."""
    given = sys.argv[1:] if overrides is None else overrides
    return run_command("duet_training.train", lambda: _run(given))


def _run(overrides: list[str]) -> int:
    from duet_training.settings.usage import help_of

    if told := help_of("duet_training.train", ["train"], overrides):
        print(told)
        return 0
    import ray

    from duet_training.errors import ClusterError, worker_failed
    from duet_training.rl.trainer import Trainer

    trainer = None
    try:
        trainer = Trainer(settings_from(overrides))
        state = trainer.run()
    except ray.exceptions.RayError as error:
        when = f" in step {trainer.state.step + 1}" if trainer is not None else " at start"
        raise ClusterError(
            f"{worker_failed(error, when)}; go on from the last checkpoint with resume=true"
        ) from error
    finally:
        if trainer is not None:
            trainer.close()
        elif ray.is_initialized():
            ray.shutdown()
    print(f"done: {state.step} steps in {trainer.settings.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
