"""What is compared: each method as switches of the trainer, all from one start.

The settings are the paper's, brought to this scale (responses of 77 tokens instead of 4,358): B,
eta and learning rates in proportion, KL higher because collapse is nearer.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Trained:
    """A trained method: overrides beside `COMMON`, and what it is to show.

    `pair`: the start it trains from; `method`: the trainer's; `rate`: its learning rate, where none
    is chosen for it; `times`: steps, as a multiple of the others'.
    """

    overrides: tuple[str, ...]
    why: str
    pair: str = "start"
    method: str = "duet"
    rate: str | None = None
    times: float = 1.0

    @property
    def switches(self) -> tuple[str, ...]:
        """All overrides of the trainer."""
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

# As serving does; a model that answers by itself has to go on.
JOINT = ("objective.stop_at_end_of_reasoning=true",)

# Our variant: length costs on success only, and advantages keep their size.
GATED = ("objective.length_on_success_only=true", "objective.divide_by_std=false")
NO_UTILITY = "objective.baseline=none"


def _constant(price: float) -> tuple[str, ...]:
    return ("objective.price.schedule=constant", f"objective.price.start={price}")


MAIN: dict[str, Trained] = {
    "duet": Trained((), "the paper's method"),
    "duet-gated": Trained(GATED, "length paid on success only, advantages not divided"),
    "single": Trained((), "the reasoner alone under the same price", method="single"),
    "thinkprune": Trained(
        (
            "thinkprune.start=160",
            "thinkprune.less=40",
            "thinkprune.every=8",
            "thinkprune.floor=40",
        ),
        "a limit that falls in stages",
        method="thinkprune",
    ),
    "lgrpo": Trained((), "length relative to the longest right answer", method="lgrpo"),
}

# Tested at their likeliest answers, too.
GREEDILY = ("duet", "duet-gated", "single")

ABLATIONS: dict[str, Trained] = {
    "no-utility": Trained((NO_UTILITY,), "no marginal utility"),
    "constant-0.25": Trained(_constant(0.25), "constant lambda"),
    "constant-0.5": Trained(_constant(0.5), "constant lambda"),
    "constant-1": Trained(_constant(1.0), "constant lambda"),
    "neither": Trained((NO_UTILITY, *_constant(1.0)), "no marginal utility, constant lambda"),
    "neither-no-kl": Trained(
        (NO_UTILITY, *_constant(1.0), "objective.kl.coefficient=0"), "the paper's collapse"
    ),
    "neither-no-kl-12": Trained(
        (NO_UTILITY, *_constant(1.0), "objective.kl.coefficient=0", "objective.budget=12"),
        "the same at half of B, where signals start as far above it as the paper's",
    ),
    "no-clip": Trained(("objective.price.clip=null",), "unclipped lambda"),
    "no-kl": Trained(("objective.kl.coefficient=0",), "no KL"),
    "budget-12": Trained(("objective.budget=12",), "half of B"),
    "budget-48": Trained(("objective.budget=48",), "twice B"),
    "decoder-fixed": Trained(("objective.train_decoder=false",), "only the reasoner learns"),
    "weak": Trained((), "a weak decoder at the start", pair="weak"),
    "weak-fixed": Trained(
        ("objective.train_decoder=false",), "a weak decoder that stays so", pair="weak"
    ),
    "shared-utility": Trained(("objective.baseline=per_question",), "r_m shared by the question"),
    "undivided": Trained(("objective.divide_by_std=false",), "advantages not divided"),
    "on-success": Trained(("objective.length_on_success_only=true",), "length on success only"),
    "unsolved": Trained((), "problems the reasoner cannot solve (the paper's LIMO case)"),
}


def _slow(why: str, *overrides: str, pair: str = "second", method: str = "duet") -> Trained:
    return Trained(overrides, why, pair=pair, method=method, rate="1e-4", times=1.5)


# From a second start, of another seed. The smallest rate that was chosen from was taken throughout:
# what half of it gives, with half as many steps again; and the same with a decoder that has
# something to learn, since it was shown no solution that does not conclude.
FROM_SECOND: dict[str, Trained] = {
    "duet-slow": _slow("half the learning rate, longer"),
    "single-slow": _slow("the same of the reasoner alone", method="single"),
    "concluded": _slow("a decoder that reads no bare equations", pair="concluded"),
    "concluded-fixed": _slow(
        "the same, only the reasoner learns", "objective.train_decoder=false", pair="concluded"
    ),
}
# Of those, how many seeds what has more than one has.
SEEDS = {"duet-slow": 3, "concluded": 2, "concluded-fixed": 2}

# Evaluated as they are, without training: name, method of `training.evaluate`, its switches.
UNTRAINED: dict[str, tuple[str, tuple[str, ...]]] = {
    "original": ("original", ()),
    "start-split": ("duet", ()),
    "prompted": ("prompted", ()),
    "alone": ("alone", ()),
    **{f"truncated-{cut}": ("truncated", (f"cut_at={cut}",)) for cut in (16, 32, 64)},
}

# The same of the second start: name, what it is called above, the pair.
SECOND: dict[str, tuple[str, str]] = {
    "second-original": ("original", "second"),
    "second-split": ("start-split", "second"),
    "second-alone": ("alone", "second"),
    "concluded-split": ("start-split", "concluded"),
    "concluded-alone": ("alone", "concluded"),
}
# What a split or a model by itself is at its best: its points are compared.
COMPARED = {**MAIN, **{name: FROM_SECOND[name] for name in ("duet-slow", "single-slow")}}


def untrained_of(name: str) -> tuple[str, str]:
    """What a method started from: the reasoner by itself, the decoder by itself."""
    return ("original", "alone") if name in MAIN else ("second-original", "second-alone")


# Test sets: trained kind, longer than trained, other templates.
SETS = ("easy", "long", "other")
