"""The compared methods (`methods.yaml`), and what all of them share.

The settings are the paper's at this scale (responses of 77 tokens instead of 4,358): B, eta and
learning rates in proportion, and a higher KL because collapse is more likely.
"""

from dataclasses import dataclass, replace
from importlib.resources import files

import yaml
from pydantic import TypeAdapter


@dataclass(frozen=True)
class TrainedMethod:
    """A trained method."""

    why: str
    """Purpose of the comparison."""
    overrides: tuple[str, ...] = ()
    """Overrides in addition to `COMMON`."""
    pair: str = "start"
    """The start that training begins with."""
    method: str = "duet"
    """The trainer's method."""
    rated: str = "duet"
    """Method of the main comparison whose learning rate this one uses."""
    seeds: int | None = None
    """Number of the plan's seeds; None uses all."""
    times: float = 1.0
    """Steps, as a multiple of the other methods' steps."""
    validate: int | None = None
    """Steps between validations; None is the plan's."""

    @property
    def switches(self) -> tuple[str, ...]:
        """All overrides of the trainer's settings."""
        joint = JOINT if self.method == "duet" else ()
        return (f"method={self.method}", *COMMON, *joint, *self.overrides)


BUDGET = 24

COMMON = (
    "batch.questions=8",
    "batch.signals=4",
    "batch.answers=4",
    "batch.mini_batch=8",
    "data.max_prompt=160",
    "tokens.response=256",
    "tokens.answer=32",
    "tokens.decoder_prompt=448",
    f"objective.budget={BUDGET}",
    "objective.kl.coefficient=0.005",
    "objective.length_penalty.rate=0.05",
    "track=[]",
    "samples=4",
)

# As in serving. A model that answers by itself must continue after its reasoning.
JOINT = ("objective.stop_at_end_of_reasoning=true",)

_READ = TypeAdapter(dict[str, dict[str, TrainedMethod]]).validate_python(
    yaml.safe_load(files("duet_training.experiments").joinpath("methods.yaml").read_text("utf-8"))
)
MAIN, JOINTLY, FROM_SECOND = _READ["main"], _READ["jointly"], _READ["from_second"]
ABLATIONS = {name: replace(method, seeds=1) for name, method in _READ["ablations"].items()}
REWARDS, AGGREGATIONS = _READ["rewards"], _READ["aggregations"]
# Tested at their likeliest answers, too; of what is trained from the second start, all is.
GREEDILY = ("duet", "duet-gated", "single", *JOINTLY, *FROM_SECOND, *REWARDS, *AGGREGATIONS)

# Evaluated as they are, without training: name, method of `duet-train evaluate`, its switches.
UNTRAINED: dict[str, tuple[str, tuple[str, ...]]] = {
    "original": ("original", ()),
    "start-split": ("duet", ()),
    "prompted": ("prompted", ()),
    "alone": ("alone", ()),
    **{f"truncated-{cut}": ("truncated", (f"cut_at={cut}",)) for cut in (16, 32, 64)},
}

# The same of the other starts, named after them.
OTHERS: dict[str, str] = {
    "weak-split": "the weak pair, untrained",
    "second-original": "the second reasoner by itself, untrained",
    "second-split": "the second pair, untrained",
    "second-alone": "the second decoder by itself, untrained",
}
# What a split or a model by itself is at its best: its points are compared.
COMPARED = {**MAIN, **{name: FROM_SECOND[name] for name in ("second-duet", "second-single")}}


def untrained_of(name: str) -> tuple[str, str]:
    """Return the evaluations of a method's start: the reasoner alone, the decoder alone."""
    return ("original", "alone") if name in MAIN else ("second-original", "second-alone")


# Test sets: trained kind, longer than trained, other templates.
SETS = ("easy", "long", "other")
