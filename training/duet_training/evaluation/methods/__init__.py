"""Ways to answer a question with a pair, or with a part of it: what evaluation compares.

`METHODS` is the one table of them. A method that only evaluation knows is a file here and a line
there; a baseline that trains is in `duet_training.rl.baselines` and is evaluated by that name.
"""

from collections.abc import Callable
from typing import Any

from duet_training.evaluation.methods.base import Method
from duet_training.evaluation.methods.duet import Duet
from duet_training.evaluation.methods.one_model import Alone, Original, Prompted
from duet_training.evaluation.methods.truncated import Truncated
from duet_training.rl.baselines import BASELINES

# How each follows from the settings of an evaluation, or of a training that validates.
METHODS: dict[str, Callable[[Any], Method]] = {
    "duet": lambda settings: Duet(to_end=not settings.objective.stop_at_end_of_reasoning),
    # The same answers; what the signals carry is measured with them.
    "signal": lambda settings: Duet(to_end=not settings.objective.stop_at_end_of_reasoning),
    "original": lambda _: Original(),
    "prompted": lambda _: Prompted(),
    "truncated": lambda settings: Truncated(settings.cut_at),
    "alone": lambda _: Alone(),
    # What trains the reasoner to answer by itself is evaluated as a reasoner that does.
    **dict.fromkeys(BASELINES, lambda _: Original()),
}
