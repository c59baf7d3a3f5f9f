"""Baselines that train: the reasoner learns to answer by itself.

The trainer, GRPO groups, KL term, checkpoints and evaluation are those of the joint method; no
decoder is started. Symbols: r in [0, 1] is the verifier's score of a response, |z| its length in
tokens (`duet_training.rl.objective.rewards`), Q questions a step, S responses a question.

`BASELINES` is the one table of them. Training, evaluation, settings and their messages read it, so
a new baseline is a class here and a line there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from duet_training.rl.objective.rewards import Array, length_penalty
from duet_training.settings.types import Count, NotNegative, Part, Whole


@dataclass(frozen=True)
class SingleModel:
    """The large model alone under the joint method's length penalty.

        R(z) = r(z) - lambda * |z| / B            (arXiv 2605.01111, appendix D)

    "The same reward function as in DUET, but without the two-stage collaboration": r is the score
    of M's own answer, there is no r_m to subtract, and lambda moves by the same dual ascent
    (`duet_training.rl.objective.schedule`). The released code's switch for it is
    `translator.enable=False`.

    """

    uses_lambda: ClassVar[bool] = True

    budget: float
    """B in tokens."""
    on_success_only: bool = False
    """Wrong answers have no length penalty."""

    def limit(self, step: int) -> int | None:
        """See `Baseline`."""
        return None

    def rewards(self, right: Array, lengths: Array, penalty: float) -> Array:
        """See `Baseline`."""
        only = self.on_success_only
        return right - length_penalty(lengths, penalty, self.budget, right, on_success_only=only)


class ThinkPrune(Part):
    """ThinkPrune: right answers count only within a token limit, which falls in stages.

        R(z) = r(the first L_t tokens of z)
        L_t  = max(floor, start - less * floor_div(t - 1, every))      t = 1, 2, ...

    Hou et al., arXiv 2504.01296, with the stages of arXiv 2605.01111 (appendix D): start 8000, less
    1000 every 20 steps, floor 1000. Responses are sampled with L_t as their limit, which gives the
    same first L_t tokens as cutting longer ones. There is no length penalty below the limit.
    """

    uses_lambda: ClassVar[bool] = False

    start: Count
    """The first limit in tokens."""
    less: Whole
    """Tokens by which it falls."""
    every: Count
    """Steps after which it falls."""
    floor: Count
    """The last limit in tokens."""

    def limit(self, step: int) -> int | None:
        """See `Baseline`."""
        return max(self.floor, self.start - self.less * ((step - 1) // self.every))

    def rewards(self, right: Array, lengths: Array, penalty: float) -> Array:
        """See `Baseline`. `right` is of responses within the limit already."""
        return right.copy()


class LengthGrpo(Part):
    """L-GRPO: right answers pay for their length relative to the longest right one in their group.

        R(z_i) = r_i - weight * r_i * |z_i| / max { |z_j| : j in the group, r_j > 0 }

    Song and Zheng (2025) as arXiv 2605.01111 describes it (appendix D): the penalty is "the ratio
    between the response length and the maximum length among correct responses within the group",
    "applied only to correct responses". It names no weight, so 1 is the default; the longest right
    answer then earns as little as a wrong one, which `lgrpo.weight` below 1 avoids.
    """

    uses_lambda: ClassVar[bool] = False

    weight: NotNegative
    """Weight of the penalty; 1 in arXiv 2605.01111."""

    def limit(self, step: int) -> int | None:
        """See `Baseline`."""
        return None

    def rewards(self, right: Array, lengths: Array, penalty: float) -> Array:
        """See `Baseline`."""
        longest = np.where(right > 0, lengths, 0.0).max(axis=1, keepdims=True)
        # A group without a right answer has none to compare with, and none that pays.
        ratio = lengths / np.where(longest > 0, longest, 1.0)
        rewards: Array = right - self.weight * right * ratio
        return rewards


if TYPE_CHECKING:
    from duet_training.settings.run import Settings


class Baseline(Protocol):
    """The reward of the reasoner's own answers."""

    @property
    def uses_lambda(self) -> bool:
        """Whether the reward uses lambda (`objective.length_penalty`), which is then updated."""

    def limit(self, step: int) -> int | None:
        """The most tokens that a response may have in a step (1, 2, ...); None: no other limit."""

    def rewards(self, right: Array, lengths: Array, penalty: float) -> Array:
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
