"""The capacity model against the real service: the same requests at the same times, measured and
simulated.

Requests arrive at random: lightly, heavily, and so fast that some are refused. Before and after each
load the service's engine is measured with steady streams. Each load is replayed in the model with
that engine, the arrivals and the tokens that the service saw. So the comparison shows the model's
error, not differences between random draws or between one minute of the machine and the next.

Two replicas under overload are checked with the tests' scripted engine, as two of vLLM's would
share this machine's cores. So it is run in the repository.
"""

from collections.abc import Callable, Sequence

import grpc
import numpy as np

from duet_tools.errors import BenchError
from duet_tools.files import Strict
from duet_tools.fleet.costs import Costs, DeviceCosts, EngineCosts
from duet_tools.fleet.measured import (
    BUDGETS,
    MAX_RUNNING,
    MAX_WAITING,
    OVERLOAD,
    TWO,
    MeasuredLoad,
    TimedRequest,
    measure,
)
from duet_tools.fleet.patterns import Pattern
from duet_tools.fleet.simulation import Fleet, Setup, SimulatedRun
from duet_tools.link.profiles import link_named
from duet_tools.options import MEASURED_PAIR
from duet_tools.results.machine import commit, describe_machine, load_average, today
from duet_tools.subjects.asking import run
from duet_tools.subjects.placement import staying_on
from duet_tools.subjects.service import Script, ServiceSubject
from duet_tools.subjects.side_by_side import Start, started
from duet_tools.subjects.workload import Workload

WITHIN = 0.15
_SCRIPTED_STEP_S = 0.02
# Below this share of refusals, a single one more or less is more than `WITHIN`.
_FEW = 0.1


class CheckFigure(Strict):
    """One figure: seconds, a rate per second, or a share."""

    name: str
    """Name of the figure, with its unit."""
    measured: float
    """Value that was measured."""
    model: float
    """Value that the model gives."""
    off: float | None
    """Relative error of the model; None: not judged."""
    met: bool
    """Whether the relative error is within the limit, or is not judged."""


class CheckLoad(Strict):
    """One load and its figures."""

    name: str
    """Name of the load."""
    per_s: float
    """Target rate in requests per second."""
    asked: int
    """Number of requests."""
    replicas: int = 1
    """Replicas that the requests are spread over; more than one: with the scripted engine."""
    engine: EngineCosts | None = None
    """The engine before and after the load."""
    figures: tuple[CheckFigure, ...]
    """Figures of the load."""


class CheckReport(Strict):
    """What the check writes."""

    schema_version: int = 1
    """Version of the file's format."""
    date: str
    """Day of the check, as ISO 8601 writes it."""
    commit: str | None
    """Commit of the repository; None: unknown."""
    cpu: str
    """Name of the processor."""
    cores: int
    """Number of processor cores."""
    pair: str
    """Pair that was served."""
    max_running: int
    """Maximum running requests of a replica."""
    max_waiting: int
    """Maximum waiting requests of a replica."""
    engine: EngineCosts
    """The engine over the whole check."""
    scripted_engine: EngineCosts | None = None
    """Of the loads with several replicas."""
    within: float
    """Largest relative error with which a figure is met."""
    met: bool
    """Whether every figure is met."""
    machine_load: tuple[float, float]
    """Load average over one minute, before and after."""
    loads: tuple[CheckLoad, ...]
    """The loads, each with its figures."""


def check_model(say: Callable[[str], None]) -> CheckReport:
    """Measure and simulate; takes about five minutes and needs an idle machine.

    Raises:
        BenchError: the service cannot be started, or fails.
    """
    before = load_average()
    workload = Workload.open(MEASURED_PAIR)
    flags = ("--max-running", str(MAX_RUNNING), "--max-waiting", str(MAX_WAITING))
    say("starting the service")
    try:
        with ServiceSubject(workload, [], flags) as service, staying_on(service.spread_out()):
            engine, loads = run(measure([service.address], workload, say))
        say("starting two replicas with the scripted engine")
        replica = Start(Script(2 * max(BUDGETS), _SCRIPTED_STEP_S, MAX_RUNNING), flags)
        with started(workload.directory, replica, replica) as sides:
            addresses = [side.service.address for side in sides]
            scripted_engine, more = run(measure(addresses, workload, say))
    except grpc.RpcError as error:
        raise BenchError(f"the service failed: {str(error).splitlines()[0]}") from error
    machine = describe_machine()
    checked = tuple(map(compare, (*loads, *more)))
    overloads = [load for load in (*loads, *more) if load.name in (OVERLOAD, TWO)]
    return CheckReport(
        date=today(),
        commit=commit(),
        cpu=machine.cpu,
        cores=machine.cores,
        pair=workload.manifest.reference,
        max_running=MAX_RUNNING,
        max_waiting=MAX_WAITING,
        engine=engine,
        scripted_engine=scripted_engine,
        within=WITHIN,
        met=all(figure.met for load in checked for figure in load.figures)
        and all(any(each.refusals for each in load.asked) for load in overloads),
        machine_load=(before, load_average()),
        loads=checked,
    )


def compare(load: MeasuredLoad) -> CheckLoad:
    """Return what was measured of a load next to the model's figures."""
    seen = load.asked
    model = replay(seen, load.engine, load.replicas)
    measured = np.asarray([each.total_s for each in seen if each.total_s is not None])
    modelled = np.asarray(model.reason)
    refused = sum(each.refusals > 0 for each in seen) / len(seen)
    return CheckLoad(
        name=load.name,
        per_s=load.per_s,
        asked=len(seen),
        replicas=load.replicas,
        engine=load.engine,
        figures=(
            _figure("signal, mean, s", measured.mean(), modelled.mean()),
            _figure("signal, p50, s", *(np.percentile(each, 50) for each in (measured, modelled))),
            _figure("signal, p90, s", *(np.percentile(each, 90) for each in (measured, modelled))),
            _figure("answered, share", len(measured) / len(seen), len(modelled) / len(seen)),
            _figure(
                "refused at first, share",
                refused,
                model.refused / len(seen),
                judged=refused >= _FEW,
            ),
        ),
    )


def replay(seen: Sequence[TimedRequest], engine: EngineCosts, replicas: int = 1) -> SimulatedRun:
    """Simulate the same requests at the same times."""
    costs = Costs(
        engine=engine,
        device=DeviceCosts(first_answer_s=0.0, answer_tokens_per_s=1.0),
        signal_tokens=(1.0,),
        answer_tokens=(1.0,),
    )
    setup = Setup(
        costs=costs,
        link=link_named("none"),
        pattern=Pattern(),
        devices=1,
        replicas=replicas,
        max_running=MAX_RUNNING,
        max_waiting=MAX_WAITING,
        duration_s=max(each.at for each in seen) + 1.0,
        warm_up_s=0.0,
        timeout_s=None,
    )
    return Fleet(setup, "split", 0, [(each.at, float(each.tokens)) for each in seen]).run()


def _figure(name: str, measured: float, model: float, judged: bool = True) -> CheckFigure:
    off = float(model / measured - 1) if judged and measured else None
    return CheckFigure(
        name=name,
        measured=float(measured),
        model=float(model),
        off=off,
        met=off is None or abs(off) <= WITHIN,
    )
