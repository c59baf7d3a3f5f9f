"""The trainings of arXiv 2605.01111's tables: what each is, and where it is evaluated.

Rows of `evaluation/report/paper.json` say which runs a table compares. Values of B and of a constant
lambda that the text lost are ours. Baselines and plain GRPO are trained for 100 steps, which the
paper's main table has; ablations of its table 6 for 150.
"""

from dataclasses import dataclass

SETS = ("math500", "amc23", "aime24", "aime25", "gpqa-diamond")
# Small sets are answered several times.
SAMPLES = {"amc23": 16, "aime24": 16, "aime25": 16}
UNTRAINED = {
    "original": ("method=original",),
    "prompted": ("method=prompted",),
    **{f"truncated-{n}": ("method=truncated", f"cut_at={n}") for n in (3072, 4096, 8192)},
}
MATH, SCALER, DAPO, LIMO = "math-lighteval", "deepscaler", "dapo-math-17k", "limo"


@dataclass(frozen=True)
class PaperTraining:
    """A training, run once for each seed."""

    name: str
    """Name of the training."""
    data: str
    """Training set."""
    at: tuple[int, ...]
    """Steps whose checkpoints are evaluated; the last one ends the training."""
    overrides: tuple[str, ...] = ()
    """Overrides of the trainer's defaults, which are the released code's."""
    sets: tuple[str, ...] = SETS
    """Test sets."""
    method: str = "duet"
    """Trained method."""

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.at[-1]


def _constant(penalty: float) -> tuple[str, ...]:
    return (
        "objective.length_penalty.schedule=constant",
        f"objective.length_penalty.start={penalty:g}",
    )


NO_MU, NO_KL = "objective.baseline=none", "objective.kl.coefficient=0"
# Of the tables by training steps.
AT = (50, 100, 150)

TRAININGS = (
    *(PaperTraining(f"duet-{data}", data, AT) for data in (SCALER, MATH, DAPO)),
    PaperTraining(f"duet-{LIMO}", LIMO, AT, sets=("aime24", "aime25", "gpqa-diamond")),
    *(
        PaperTraining(method, SCALER, (100,), method=method)
        for method in ("single", "thinkprune", "lgrpo")
    ),
    *(
        PaperTraining(f"plain-{data}", data, (100,), _constant(0), method="single")
        for data in (MATH, SCALER, DAPO)
    ),
    PaperTraining("no-mu", MATH, (150,), (NO_MU,)),
    PaperTraining("constant-1", MATH, (150,), _constant(1)),
    PaperTraining("neither", MATH, (150,), (NO_MU, *_constant(1))),
    PaperTraining("neither-no-kl", MATH, (150,), (NO_MU, *_constant(1), NO_KL)),
    *(PaperTraining(f"constant-{p:g}", MATH, (100,), _constant(p)) for p in (0.25, 0.5, 0.75)),
    PaperTraining("no-kl", MATH, (100,), (NO_KL,)),
    *(
        PaperTraining(f"budget-{budget}-{data}", data, (100,), (f"objective.budget={budget}",))
        for data in (MATH, SCALER)
        for budget in (500, 2000)
    ),
)
