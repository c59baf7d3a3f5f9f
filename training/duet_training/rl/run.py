"""Joint training of a pair. Settings: `duet_training/settings/conf/`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duet_training.settings.run import Settings


def settings_from(overrides: list[str]) -> Settings:
    """The settings that `conf/train.yaml` and overrides like `objective.budget=500` give.

    Raises:
        ConfigError: an override that Hydra cannot read, a value missing, or one that is invalid.
    """
    from duet_training.settings.compose import compose_settings
    from duet_training.settings.run import Settings

    return compose_settings("train", overrides, Settings)


def train(overrides: list[str]) -> None:
    """Train a pair.

    Args:
        overrides: see `settings_from`.

    Raises:
        TrainingError: the settings are invalid, or training failed.
    """
    import ray

    from duet_training.errors import ClusterError
    from duet_training.rl.trainer import Trainer
    from duet_training.verl_backend.cluster import worker_failed

    trainer = None
    try:
        trainer = Trainer(settings_from(overrides))
        state = trainer.run()
    except ray.exceptions.RayError as error:
        when = f" in step {trainer.state.step + 1}" if trainer is not None else " at start"
        raise ClusterError(
            f"{worker_failed(error, when)}; resume=true continues from the last checkpoint"
        ) from error
    finally:
        if trainer is not None:
            trainer.close()
        elif ray.is_initialized():
            ray.shutdown()
    print(f"done: {state.step} steps in {trainer.settings.out}")
