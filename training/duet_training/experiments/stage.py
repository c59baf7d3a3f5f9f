"""One stage of the evidence run: what it runs, what it needs, what it leaves."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["mechanism", "data", "start", "measure", "train", "evaluate"]
# Minutes on two idle cores, as first guesses; replaced by what stages of a kind really took.
USUAL = {
    "mechanism": 0.5,
    "data": 0.2,
    "start": 12.0,
    "measure": 1.5,
    "train": 5.5,
    "evaluate": 1.2,
}
# No method may train longer.
LIMIT = {
    "mechanism": 5.0,
    "data": 5.0,
    "start": 40.0,
    "measure": 10.0,
    "train": 20.0,
    "evaluate": 10.0,
}


@dataclass(frozen=True)
class Stage:
    """A part of the run that is done whole or not at all.

    `arguments`: of the command behind `kind`, where `{work}` stands for the working directory,
    `{checkpoint:RUN}` for a run's last one, `{rate:METHOD}` for a method's learning rate;
    `needs`: stages whose files it reads; `reads`: stages whose results it reads; `why`: what it is
    evidence for.
    """

    name: str
    kind: Kind
    arguments: tuple[str, ...]
    needs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    why: str = ""
    seed: int = 0

    @property
    def together(self) -> str | None:
        """What stages have in common that share one process, which starts their models once."""
        return next(iter(self.arguments), "") if self.kind == "evaluate" else None

    @property
    def usual(self) -> float:
        """Minutes to expect before any of its kind has run."""
        return USUAL[self.kind]

    @property
    def limit(self) -> float:
        """Minutes after which it is stopped."""
        return LIMIT[self.kind]
