"""One stage of the experiments: what it runs, what it needs and what it shows."""

from dataclasses import dataclass
from typing import Literal

# "mechanism" stages compute without a model.
Kind = Literal["mechanism", "data", "start", "measure", "train", "evaluate"]
# Expected minutes on two idle cores, and the limit in minutes: no method may train longer.
MINUTES: dict[Kind, tuple[float, float]] = {
    "mechanism": (0.5, 5.0),
    "data": (0.2, 5.0),
    "start": (12.0, 40.0),
    "measure": (1.5, 10.0),
    "train": (5.5, 20.0),
    "evaluate": (1.2, 10.0),
}


@dataclass(frozen=True)
class Stage:
    """A part of the experiments (see `duet_training.experiments.stage_runner.Runnable`)."""

    name: str
    """Its name, which is that of its result's file."""
    kind: Kind
    """Which command it is, and what its result holds."""
    arguments: tuple[str, ...]
    """Arguments of the command, in which `{work}` is the working directory, `{checkpoint:RUN}` a
    run's last checkpoint and `{rate:METHOD}` a method's chosen learning rate."""
    needs: tuple[str, ...] = ()
    """Stages whose files it reads."""
    reads: tuple[str, ...] = ()
    """Stages whose results it reads."""
    why: str = ""
    """What it shows."""
    seed: int = 0
    """Seed of what it draws."""

    @property
    def waits_for(self) -> tuple[str, ...]:
        """Stages that must be done first."""
        return (*self.needs, *self.reads)

    @property
    def together(self) -> str | None:
        """The pair of an evaluation: evaluations of a pair share a process and its models."""
        return next(iter(self.arguments), "") if self.kind == "evaluate" else None

    @property
    def usual(self) -> float:
        """Expected minutes."""
        return MINUTES[self.kind][0]

    @property
    def limit(self) -> float:
        """Minutes after which it is stopped."""
        return MINUTES[self.kind][1]
