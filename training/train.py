"""`python -m training.train`: joint training of a pair. Settings: `training/conf/`."""

import sys

import ray

from duet_contract.errors import ContractError
from training.errors import TrainingError, one_line, worker_failed
from training.settings import Settings, compose_settings
from training.usage import help_of


def settings_from(overrides: list[str]) -> Settings:
    """The settings that `conf/train.yaml` and overrides like `objective.budget=500` give.

    Raises:
        ConfigError: an override that Hydra cannot read, a value missing, or one that is invalid.
    """
    return compose_settings("train", overrides, Settings)


def main(overrides: list[str]) -> int:
    """Trains; 0, or 1 with one line on standard error."""
    if told := help_of("training.train", ["train"], overrides):
        print(told)
        return 0
    from training.trainer import Trainer

    trainer = None
    try:
        trainer = Trainer(settings_from(overrides))
        state = trainer.run()
    except (TrainingError, ContractError, OSError) as error:
        print(f"training.train: {one_line(error)}", file=sys.stderr)
        return 1
    except ray.exceptions.RayError as error:
        when = f" in step {trainer.state.step + 1}" if trainer is not None else " at start"
        print(
            f"training.train: {worker_failed(error, when)}; go on from the last checkpoint with "
            "resume=true",
            file=sys.stderr,
        )
        return 1
    finally:
        if trainer is not None:
            trainer.close()
        elif ray.is_initialized():
            ray.shutdown()
    print(f"done: {state.step} steps in {trainer.settings.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
