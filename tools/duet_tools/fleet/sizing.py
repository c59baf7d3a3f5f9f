"""How many replicas it takes to reach an objective."""

from collections.abc import Callable
from dataclasses import replace

from duet_tools.files import Strict
from duet_tools.fleet.report import FleetPrices, simulate
from duet_tools.fleet.simulation import Setup, SimulatedMode

# Of the questions asked, so many may fail.
MOST_FAILED = 0.01
_MOST_REPLICAS = 1_000_000
_QUESTIONS = 20_000
_REPLICATIONS = 2


class Sized(Strict, allow_inf_nan=True):
    """Result with a number of replicas."""

    replicas: int
    """Number of replicas."""
    p95_s: float
    """95th percentile of the answers' seconds."""
    failed: float
    """Share of questions without an answer."""


class Needed(Strict):
    """The replicas that a mode needs."""

    mode: SimulatedMode
    """The mode."""
    fewest: Sized | None
    """Fewest replicas that are enough; None: no number is enough."""


class Sizing(Strict):
    """Replicas that reach an objective."""

    objective_s: float
    """Seconds within which 95% of the questions are answered."""
    modes: list[Needed]
    """Replicas that each mode needs."""


def fewest_replicas(
    setup: Setup,
    mode: SimulatedMode,
    objective_s: float,
    seed: int = 0,
    step: Callable[[str], None] = lambda _: None,
) -> Sized | None:
    """Return the fewest replicas, from `setup.replicas` on, that answer 95% within the objective.

    Doubles until one number is enough, then halves the gap. None: no number is, because a question
    alone takes longer.

    Raises:
        UsageProblem: the simulation would take hours.
    """

    def tried(replicas: int) -> Sized:
        step(f"{mode}: {replicas} replicas")
        result = simulate(
            replace(setup, replicas=replicas),
            [mode],
            FleetPrices(),
            seed=seed,
            replications=_REPLICATIONS,
            most_questions=_QUESTIONS,
        ).outcomes[0]
        p95 = result.total.p95.mean if result.total else float("inf")
        return Sized(replicas=replicas, p95_s=p95, failed=1 - result.answered.mean)

    def enough(fleet: Sized) -> bool:
        return fleet.p95_s <= objective_s and fleet.failed <= MOST_FAILED

    few, best = setup.replicas - 1, tried(setup.replicas)
    while not enough(best):
        few = best.replicas
        # More replicas than devices cannot help: each device then has its own.
        if few >= min(_MOST_REPLICAS, 2 * setup.devices):
            return None
        best = tried(2 * few)
    while best.replicas - few > 1:
        middle = tried((few + best.replicas) // 2)
        if enough(middle):
            best = middle
        else:
            few = middle.replicas
    return best
