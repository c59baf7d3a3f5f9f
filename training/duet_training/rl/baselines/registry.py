"""Baselines that train, by the name of their method."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from duet_training.rl.baselines.base import Baseline
from duet_training.rl.baselines.lgrpo import LengthGrpo
from duet_training.rl.baselines.single import SingleModel
from duet_training.rl.baselines.thinkprune import ThinkPrune

if TYPE_CHECKING:
    from duet_training.settings.run import Settings


def make_baseline(settings: "Settings") -> Baseline | None:
    """The baseline that `settings.method` names; None for the joint method.

    Raises:
        KeyError: a method that does not train; `Settings` refuses those before.
    """
    objective, prune = settings.objective, settings.thinkprune
    if settings.method == "duet":
        return None
    makers: dict[str, Callable[[], Baseline]] = {
        "single": lambda: SingleModel(
            objective.budget, on_success_only=objective.length_on_success_only
        ),
        "thinkprune": lambda: ThinkPrune(prune.start, prune.less, prune.every, prune.floor),
        "lgrpo": lambda: LengthGrpo(settings.lgrpo.weight),
    }
    return makers[settings.method]()
