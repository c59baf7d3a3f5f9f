"""Replications of a setup, summed up: percentiles with intervals, shares, cost."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from duet_report.intervals import mean_of_runs
from duet_tools.errors import UsageProblem
from duet_tools.files import Strict
from duet_tools.fleet.simulation import Fleet, Setup, SimulatedMode, SimulatedRun

SCHEMA = 1
_PERCENTILES = (50, 90, 95, 99)
_MOST_WORK = 2e7
_REPLICAS_OF_A_QUESTION = 5000


class Estimate(Strict):
    """A mean over replications."""

    mean: float
    """The mean."""
    within: float | None = None
    """Half of the 95% interval; None: there is only one replication."""


class Latency(Strict):
    """Seconds, each as the mean over replications."""

    mean: Estimate
    """Mean of a replication's questions."""
    p50: Estimate
    """Median."""
    p90: Estimate
    """90th percentile."""
    p95: Estimate
    """95th percentile."""
    p99: Estimate
    """99th percentile."""


class FleetPrices(Strict):
    """Prices in one currency."""

    replica_hour: float = 0.0
    """Price of a replica per hour."""
    egress_gb: float = 0.0
    """Price of a gigabyte (1e9 bytes) that leaves the cloud."""


class ModeFigures(Strict):
    """Results of one mode. Shares are of the questions asked."""

    mode: SimulatedMode
    """The mode."""
    questions_per_s: Estimate
    """Answered questions per second, by the whole fleet."""
    answered: Estimate
    """Share of questions that were answered."""
    refused: Estimate
    """Share of questions that were refused at first."""
    abandoned: Estimate
    """Share of questions whose caller stopped retrying after a refusal."""
    timed_out: Estimate
    """Share of questions whose device reached its time limit."""
    busy: Estimate
    """Share of time that a replica works."""
    running: Estimate
    """Mean number of running requests in a replica."""
    tokens_per_s: Estimate
    """Tokens per second of one replica."""
    cost_per_1000: Estimate | None
    """Cost of 1000 answered questions in the prices' currency."""
    cloud: Latency | None
    """Seconds of all that the cloud does, with the link; None if no question was answered."""
    first_answer: Latency | None
    """Seconds to the first answer token; None if no question was answered."""
    total: Latency | None
    """Seconds to the last answer token; None if no question was answered."""


class Capacity(Strict):
    """Output of `duet-bench capacity`."""

    schema_version: int = SCHEMA
    """Version of the output's format."""
    source: str
    """Source of the costs."""
    link: str
    """Name of the link."""
    pattern: str
    """Kind of the arrivals."""
    per_hour: float
    """Questions per device and hour, on average over a day."""
    devices: int
    """Number of devices."""
    replicas: int
    """Number of replicas."""
    sampled_replicas: int
    """Number of replicas that were simulated."""
    max_running: int
    """Maximum running requests of one replica."""
    max_waiting: int
    """Maximum waiting requests of one replica."""
    duration_s: float
    """Simulated time in seconds."""
    warm_up_s: float
    """First seconds of the simulated time, which do not count."""
    timeout_s: float | None
    """Seconds after which a device aborts a question; None: no limit."""
    replications: int
    """Number of runs, each with random numbers of its own."""
    seed: int
    """Seed of the first run's random numbers."""
    prices: FleetPrices
    """Prices of what the fleet uses."""
    outcomes: tuple[ModeFigures, ...]
    """Results of each mode."""


def sampled(setup: Setup, most_questions: float) -> Setup:
    """Return a part of a large fleet with the same load per replica and fewer questions per run.

    A balancer that chooses among fewer replicas chooses a little worse, so waits are if anything
    too long. A fleet of one replica cannot be divided.
    """
    asks = setup.devices * setup.pattern.per_hour * setup.duration_s / 3600
    factor = max(1.0, asks / most_questions)
    replicas = max(1, math.floor(setup.replicas / factor))
    if replicas == setup.replicas:
        return setup
    devices = max(1, round(setup.devices * replicas / setup.replicas))
    return replace(setup, replicas=replicas, devices=devices)


def check_work(part: Setup, runs: int) -> None:
    """Check that so many runs of a setup, sampled already, end within about an hour.

    Raises:
        UsageProblem: they do not.
    """
    asks = runs * part.devices * part.pattern.per_hour * part.duration_s / 3600
    # A question costs about 0.1 ms, and more in a fleet whose replicas are all looked at.
    work = asks * (1 + part.replicas / _REPLICAS_OF_A_QUESTION)
    if work > _MOST_WORK:
        raise UsageProblem(
            f"simulating this means {asks:.3g} questions to {part.replicas} replicas, at most "
            f"{_MOST_WORK:.3g} to a few: give fewer --devices, --per-hour, --duration or "
            "--replications; or more --replicas, of which a part is simulated (--most-questions)"
        )


def simulate(
    setup: Setup,
    modes: Sequence[SimulatedMode],
    prices: FleetPrices,
    *,
    seed: int = 0,
    replications: int = 5,
    most_questions: float = 100_000,
    step: Callable[[str], None] = lambda _: None,
) -> Capacity:
    """Simulate a setup in each mode; the same seed gives the same figures.

    Both modes meet the same arrivals. `step` is called after each run.

    Raises:
        UsageProblem: it would take hours.
    """
    part = sampled(setup, most_questions)
    check_work(part, replications * len(modes))
    outcomes = []
    scale = setup.replicas / part.replicas
    for mode in modes:
        runs = []
        for replication in range(replications):
            step(f"{mode}, replication {replication + 1} of {replications}")
            runs.append(Fleet(part, mode, seed * 1_000_003 + replication).run())
        outcomes.append(_outcome(mode, runs, part, scale, prices))
    return Capacity(
        source=setup.costs.source,
        link=setup.link.name,
        pattern=setup.pattern.kind,
        per_hour=setup.pattern.per_hour,
        devices=setup.devices,
        replicas=setup.replicas,
        sampled_replicas=part.replicas,
        max_running=setup.max_running,
        max_waiting=setup.max_waiting,
        duration_s=setup.duration_s,
        warm_up_s=setup.warm_up_s,
        timeout_s=setup.timeout_s,
        replications=replications,
        seed=seed,
        prices=prices,
        outcomes=tuple(outcomes),
    )


def estimate(values: Sequence[float]) -> Estimate:
    """Return the mean of independent values and its 95% interval."""
    found = mean_of_runs(values)
    return Estimate(mean=found.value, within=found.high - found.value if len(values) > 1 else None)


def _outcome(
    mode: SimulatedMode,
    runs: Sequence[SimulatedRun],
    part: Setup,
    scale: float,
    prices: FleetPrices,
) -> ModeFigures:
    return ModeFigures(
        mode=mode,
        questions_per_s=estimate([scale * len(run.total) / run.seconds for run in runs]),
        answered=estimate([_share(len(run.total), run) for run in runs]),
        refused=estimate([_share(run.refused, run) for run in runs]),
        abandoned=estimate([_share(run.abandoned, run) for run in runs]),
        timed_out=estimate([_share(run.timed_out, run) for run in runs]),
        busy=estimate([run.busy for run in runs]),
        running=estimate([run.running for run in runs]),
        tokens_per_s=estimate([run.tokens_per_s / part.replicas for run in runs]),
        cost_per_1000=_cost(runs, part, prices),
        cloud=_latency([run.reason for run in runs]),
        first_answer=_latency([run.first for run in runs]),
        total=_latency([run.total for run in runs]),
    )


def _share(count: int, run: SimulatedRun) -> float:
    return count / run.asked if run.asked else 0.0


def _cost(runs: Sequence[SimulatedRun], part: Setup, prices: FleetPrices) -> Estimate | None:
    if not all(len(run.total) for run in runs):
        return None
    return estimate(
        [
            1000
            / len(run.total)
            * (
                part.replicas * prices.replica_hour * run.seconds / 3600
                + run.down_bytes * prices.egress_gb / 1e9
            )
            for run in runs
        ]
    )


def _latency(runs: Sequence[Sequence[float]]) -> Latency | None:
    if not all(len(run) for run in runs):
        return None
    arrays = [np.asarray(run) for run in runs]
    points = {
        f"p{each}": estimate([float(np.percentile(run, each)) for run in arrays])
        for each in _PERCENTILES
    }
    return Latency(mean=estimate([float(run.mean()) for run in arrays]), **points)
