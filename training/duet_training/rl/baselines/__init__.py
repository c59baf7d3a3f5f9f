"""Baselines that train: the reasoner learns to answer by itself. One reward a file.

The trainer, GRPO groups, KL term, checkpoints and evaluation are those of the joint method; no
decoder is started. Symbols: r in [0, 1] is the verifier's score of a response, |z| its length in
tokens (`duet_training.objective.lengths`), Q questions a step, S responses a question.

`BASELINES` is the one table of them. Training, evaluation, settings and their messages read it, so
a new baseline is a file here and a line there.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from duet_training.objective.rewards import Array
from duet_training.rl.baselines.single import SingleModel

if TYPE_CHECKING:
    from duet_training.settings.run import Settings


class Baseline(Protocol):
    """The reward of the reasoner's own answers."""

    @property
    def priced(self) -> bool:
        """Whether lambda (`objective.price`) takes part, and so whether it moves."""

    def limit(self, step: int) -> int | None:
        """The most tokens that a response may have in a step (1, 2, ...); None: no other limit."""

    def rewards(self, right: Array, lengths: Array, price: float) -> Array:
        """R(z) before the KL term, (Q, S), from scores r and lengths |z|, both (Q, S)."""


# The name that `method=` takes, and how the baseline follows from the settings. One with settings
# of its own is itself the part of the settings that has its name.
BASELINES: "dict[str, Callable[[Settings], Baseline]]" = {
    "single": lambda settings: SingleModel(
        settings.objective.budget, on_success_only=settings.objective.length_on_success_only
    ),
    "thinkprune": lambda settings: settings.thinkprune,
    "lgrpo": lambda settings: settings.lgrpo,
}
