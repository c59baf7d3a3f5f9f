"""The compared methods: each one as overrides of the trainer's settings, all from one start.

The settings are the paper's at this scale (responses of 77 tokens instead of 4,358): B, eta and
learning rates in proportion, and a higher KL because collapse is more likely.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainedMethod:
    """A trained method."""

    overrides: tuple[str, ...]
    """Overrides in addition to `COMMON`."""
    why: str
    """Purpose of the comparison."""
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
    "objective.price.rate=0.05",
    "track=[]",
    "samples=4",
)

# As in serving. A model that answers by itself must continue after its reasoning.
JOINT = ("objective.stop_at_end_of_reasoning=true",)

# Our variant: length costs on success only, and advantages keep their size.
GATED = ("objective.length_on_success_only=true", "objective.divide_by_std=false")
NO_UTILITY = "objective.baseline=none"


def _constant(price: float) -> tuple[str, ...]:
    return ("objective.price.schedule=constant", f"objective.price.start={price}")


MAIN: dict[str, TrainedMethod] = {
    "duet": TrainedMethod((), "the paper's method"),
    "duet-gated": TrainedMethod(
        GATED, "length paid on success only, advantages not divided", rated="duet-gated"
    ),
    "single": TrainedMethod(
        (), "the reasoner alone under the same price", method="single", rated="single"
    ),
    "thinkprune": TrainedMethod(
        (
            "thinkprune.start=160",
            "thinkprune.less=40",
            "thinkprune.every=8",
            "thinkprune.floor=40",
        ),
        "a limit that falls in stages",
        method="thinkprune",
        rated="thinkprune",
    ),
    "lgrpo": TrainedMethod(
        (), "length relative to the longest right answer", method="lgrpo", rated="lgrpo"
    ),
}

FIXED = ("objective.train_decoder=false",)

# The claim that training both pays: what it is compared with, over seeds.
JOINTLY: dict[str, TrainedMethod] = {
    "decoder-fixed": TrainedMethod(FIXED, "only the reasoner learns"),
    "weak": TrainedMethod((), "a weak decoder at the start", pair="weak", seeds=2),
    "weak-fixed": TrainedMethod(FIXED, "a weak decoder that stays so", pair="weak", seeds=2),
}


# Of collapse, and of what is to keep from it: the paper's runs had 150 steps.
LONG = 3.5


def _ablation(why: str, *overrides: str, times: float = 1.0) -> TrainedMethod:
    return TrainedMethod(overrides, why, seeds=1, times=times)


ABLATIONS: dict[str, TrainedMethod] = {
    "no-utility": _ablation("no marginal utility", NO_UTILITY),
    "shared-utility": _ablation("r_m shared by the question", "objective.baseline=per_question"),
    "constant-0.25": _ablation("constant lambda", *_constant(0.25)),
    "constant-0.5": _ablation("constant lambda", *_constant(0.5)),
    "constant-1": _ablation("constant lambda", *_constant(1.0)),
    "neither": _ablation("no marginal utility, constant lambda", NO_UTILITY, *_constant(1.0)),
    "neither-no-kl": _ablation(
        "the paper's collapse", NO_UTILITY, *_constant(1.0), "objective.kl.coefficient=0"
    ),
    "neither-no-kl-12": _ablation(
        "the same at half of B, where signals start as far above it as the paper's, and longer",
        *(NO_UTILITY, *_constant(1.0), "objective.kl.coefficient=0", "objective.budget=12"),
        times=LONG,
    ),
    "no-clip": _ablation("unclipped lambda", "objective.price.clip=null"),
    "no-kl": _ablation("no KL", "objective.kl.coefficient=0"),
    "budget-12": _ablation("half of B", "objective.budget=12"),
    "budget-12-long": _ablation("half of B, and longer", "objective.budget=12", times=LONG),
    "budget-48": _ablation("twice B", "objective.budget=48"),
    "undivided": _ablation("advantages not divided", "objective.divide_by_std=false"),
    "on-success": _ablation("length on success only", "objective.length_on_success_only=true"),
    "unsolved": _ablation("problems the reasoner cannot solve (the paper's LIMO case)"),
}

# From a second start, both models of another seed.
FROM_SECOND: dict[str, TrainedMethod] = {
    "second-duet": TrainedMethod((), "the paper's method", pair="second"),
    "second-single": TrainedMethod(
        (), "the reasoner alone", pair="second", method="single", rated="single", seeds=2
    ),
    "second-fixed": TrainedMethod(FIXED, "only the reasoner learns", pair="second", seeds=2),
}
OFTEN = 6


def _reward(why: str, *overrides: str) -> TrainedMethod:
    return TrainedMethod(overrides, why, validate=OFTEN)


# What a signal is rewarded with, and what the decoder reads of it; validated more often than the
# others, because they are compared at equal tokens.
REWARDS: dict[str, TrainedMethod] = {
    "reward-sampled": _reward("the paper's: four sampled answers"),
    "reward-dense": _reward("log-probability of the reference", "objective.reward=dense"),
    "reward-prefix": _reward("answers to random prefixes", "objective.read=prefix"),
    "reward-withheld": _reward("the last result is withheld", "objective.read=withheld"),
}
# Tested at their likeliest answers, too; of what is trained from the second start, all is.
GREEDILY = ("duet", "duet-gated", "single", *JOINTLY, *FROM_SECOND, *REWARDS)

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
