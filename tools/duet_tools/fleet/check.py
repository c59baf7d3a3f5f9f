"""The capacity model against the real service: the same requests at the same times, measured and
simulated.

The service's engine is measured first and last, with steady streams. Between, requests arrive at
random: lightly, heavily, and so fast that some are refused. Each load is replayed in the model with
the arrivals and the tokens that the service saw. So the comparison shows the model's error, not
differences between random draws.

Two replicas under overload are checked with the tests' scripted engine, as two of vLLM's would
share this machine's cores. So it is run in the repository.
"""

import asyncio
import math
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

import grpc
import numpy as np
from google.rpc import error_details_pb2
from grpc_status import rpc_status  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict

from duet_contract.channels import open_aio_channel
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from duet_tools.errors import BenchError
from duet_tools.fleet.costs import Costs, Device, Engine, Speed
from duet_tools.fleet.patterns import Pattern
from duet_tools.fleet.simulation import Fleet, Seen, Setup
from duet_tools.link.profiles import link_named
from duet_tools.options import MEASURED_PAIR
from duet_tools.results.machine import commit, describe_machine, load_average
from duet_tools.subjects.placement import staying_on
from duet_tools.subjects.service import Service
from duet_tools.subjects.workload import Workload, question
from duet_tools.tls.services import Start, script, scripted

WITHIN = 0.15
MAX_RUNNING = 8
MAX_WAITING = 8
LOAD_S = 28.0
_OVERLOAD = "overload"
_TWO = "overload, two replicas"
_SCRIPTED_STEP_S = 0.02
_BUDGETS = (24, 88)
_STREAMS = (1, 2, 4, 8)
_ROUNDS = 2
_CALIBRATION_BUDGET = 64
# How long the full engine is watched, after it has settled.
_SETTLE_S = 3.0
_FULL_S = 12.0
# Below this share of refusals, a single one more or less is more than `WITHIN`.
_FEW = 0.1


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CheckFigure(_Model):
    """One figure: seconds, a rate per second, or a share."""

    name: str
    measured: float
    model: float
    off: float | None
    """Relative error of the model; None: not judged."""
    met: bool


class CheckLoad(_Model):
    """One load and its figures."""

    name: str
    per_s: float
    """Target rate in requests per second."""
    asked: int
    """Number of requests."""
    replicas: int = 1
    """Replicas that the requests are spread over; more than one: with the scripted engine."""
    figures: tuple[CheckFigure, ...]


class CheckReport(_Model):
    """What the check writes."""

    schema_version: int = 1
    date: str
    commit: str | None
    cpu: str
    cores: int
    pair: str
    max_running: int
    max_waiting: int
    engine: Engine
    scripted_engine: Engine | None = None
    """Of the loads with several replicas."""
    within: float
    met: bool
    machine_load: tuple[float, float]
    loads: tuple[CheckLoad, ...]


@dataclass
class Asked:
    """One request as its client saw it; times in seconds from the load's start."""

    at: float
    tokens: int
    first_s: float = 0.0
    total_s: float | None = None
    refusals: int = 0


def check_model(say: Callable[[str], None]) -> CheckReport:
    """Measure and simulate; takes about five minutes and needs an idle machine.

    Raises:
        BenchError: the service cannot be started, or fails.
    """
    before = load_average()
    workload = Workload.open(MEASURED_PAIR)
    flags = ["--max-running", str(MAX_RUNNING), "--max-waiting", str(MAX_WAITING)]
    say("starting the service")
    service = Service(workload, [], flags)
    try:
        try:
            with staying_on(service.spread_out()):
                engine, loads = asyncio.run(_measure([service.address], workload, say))
        finally:
            service.stop()
        say("starting two replicas with the scripted engine")
        engine_script = script(
            tokens=2 * max(_BUDGETS), pause_s=_SCRIPTED_STEP_S, slots=MAX_RUNNING
        )
        replica = Start(flags, engine_script)
        with scripted(str(workload.directory), replica, replica) as sides:
            addresses = [f"127.0.0.1:{side.port}" for side in sides]
            scripted_engine, more = asyncio.run(_measure(addresses, workload, say))
    except grpc.RpcError as error:
        raise BenchError(f"the service failed: {str(error).splitlines()[0]}") from error
    machine = describe_machine()
    checked = (
        *(_compare(name, rate, seen, engine) for name, rate, seen in loads),
        *(_compare(name, rate, seen, scripted_engine, 2) for name, rate, seen in more),
    )
    return CheckReport(
        date=datetime.now(UTC).date().isoformat(),
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
        and all(
            any(each.refusals for each in seen)
            for name, _, seen in (*loads, *more)
            if name in (_OVERLOAD, _TWO)
        ),
        machine_load=(before, load_average()),
        loads=checked,
    )


async def _measure(
    addresses: Sequence[str], workload: Workload, say: Callable[[str], None]
) -> tuple[Engine, list[tuple[str, float, list[Asked]]]]:
    """Measure the engine at the first address, then the loads over all of them."""
    client = _Client(workload)
    async with AsyncExitStack() as stack:
        for address in addresses:
            channel = await stack.enter_async_context(open_aio_channel(address))
            await channel.channel_ready()
            client.stubs.append(InferenceServiceStub(channel))
        every, client.stubs = client.stubs, client.stubs[:1]
        say("measuring the engine")
        before = await _calibrate(client)
        engine = _engine([before])
        capacity = 1 / (
            engine.prefill_s + statistics.fmean(_BUDGETS) * engine.step_s(MAX_RUNNING) / MAX_RUNNING
        )
        loads = []
        client.stubs = every
        for number, (name, count) in enumerate(requests_of(capacity, len(every)).items()):
            say(f"{name}: {count} requests in {LOAD_S:g} s")
            seen = await _load(client, arrivals(count, random.Random(number)))
            loads.append((name, count / LOAD_S, seen))
        client.stubs = every[:1]
        # A machine that others use, too, is not as fast all the time.
        say("measuring the engine again")
        return _engine([before, await _calibrate(client)]), loads


@dataclass
class _Calibration:
    """Steps of each number of streams, and a lone request's first token, in seconds.

    Also the time during which the engine was full, with its tokens and prompts.
    """

    steps: dict[int, list[float]]
    firsts: list[float]
    seconds: float
    tokens: int
    prompts: int


def _engine(calibrations: Sequence[_Calibration]) -> Engine:
    """Return the engine that calibrations describe together."""
    steps = {
        streams: statistics.median([step for each in calibrations for step in each.steps[streams]])
        for streams in _STREAMS
    }
    first = statistics.median([first for each in calibrations for first in each.firsts])
    seconds = sum(each.seconds for each in calibrations)
    tokens = sum(each.tokens for each in calibrations)
    prompts = sum(each.prompts for each in calibrations)
    prefill = (seconds - tokens * steps[MAX_RUNNING] / MAX_RUNNING) / prompts
    prefill = min(max(0.0, prefill), max(0.0, first - steps[1]))
    return Engine(
        speeds=tuple(
            Speed(streams=streams, tokens_per_s=streams / step) for streams, step in steps.items()
        ),
        prefill_s=prefill,
        overhead_s=max(0.0, first - prefill - steps[1]),
    )


async def _calibrate(client: "_Client") -> _Calibration:
    """Steady streams give the time of a step among n; a full engine gives what a prompt takes.

    In the full engine every request that ends is followed by another, so its time is spent on
    steps among all slots, whose time is known by then, and on prompts.
    """
    await asyncio.gather(*(client.ask(_CALIBRATION_BUDGET) for _ in range(4)))
    steps: dict[int, list[float]] = {streams: [] for streams in _STREAMS}
    firsts: list[float] = []
    for _ in range(_ROUNDS):
        for streams in _STREAMS:
            done = await asyncio.gather(*(client.ask(_CALIBRATION_BUDGET) for _ in range(streams)))
            for each in done:
                if each.total_s is not None and each.tokens > 1:
                    steps[streams].append((each.total_s - each.first_s) / (each.tokens - 1))
            if streams == 1:
                firsts.append(done[0].first_s)
    seconds, tokens, prompts = await _full(client, random.Random("full"))
    return _Calibration(steps, firsts, seconds, tokens, prompts)


async def _full(client: "_Client", draws: random.Random) -> tuple[float, int, int]:
    """Keep every slot busy for a while; return the seconds, and their tokens and prompts."""
    tokens = prompts = 0
    counting = False

    def got(count: int, first: bool) -> None:
        nonlocal tokens, prompts
        if counting:
            tokens += count
            prompts += first

    async def keep_asking() -> None:
        while True:
            await client.ask(draws.randint(*_BUDGETS), got=got)

    workers = [asyncio.create_task(keep_asking()) for _ in range(MAX_RUNNING)]
    await asyncio.sleep(_SETTLE_S)
    began, counting = time.perf_counter(), True
    await asyncio.sleep(_FULL_S)
    seconds, counting = time.perf_counter() - began, False
    for worker in workers:
        worker.cancel()
    ended = await asyncio.gather(*workers, return_exceptions=True)
    for error in ended:
        if not isinstance(error, asyncio.CancelledError):
            raise BenchError(f"the service failed: {error}")
    return seconds, tokens, prompts


def requests_of(capacity: float, replicas: int = 1) -> dict[str, int]:
    """Return the number of requests of each load by its name.

    The overload exceeds the capacity by twice all running and waiting slots, so that some are
    refused even if the engine is somewhat faster than measured.

    Args:
        capacity: requests a second that an engine can carry.
        replicas: of the service; several get the overload alone.
    """
    carried = capacity * LOAD_S * replicas
    places = replicas * (MAX_RUNNING + MAX_WAITING)
    if replicas > 1:
        return {_TWO: math.ceil(carried) + 2 * places}
    return {
        "light, 40% of capacity": max(1, round(0.4 * carried)),
        "heavy, 80%": max(1, round(0.8 * carried)),
        _OVERLOAD: math.ceil(carried) + 2 * places,
    }


def arrivals(count: int, draws: random.Random) -> list[tuple[float, int]]:
    """Return send times and budgets of `count` requests in `LOAD_S`, a Poisson process."""
    return [
        (at, draws.randint(*_BUDGETS))
        for at in sorted(draws.uniform(0, LOAD_S) for _ in range(count))
    ]


async def _load(client: "_Client", requests: Sequence[tuple[float, int]]) -> list[Asked]:
    """Send requests at their times, independent of the outcome of earlier ones."""
    began = time.perf_counter()
    tasks = []
    for at, budget in requests:
        await asyncio.sleep(max(0.0, began + at - time.perf_counter()))
        tasks.append(asyncio.create_task(client.ask(budget, began)))
    return list(await asyncio.gather(*tasks))


class _Client:
    """Asks questions that were not asked before, and again when refused, as a device does.

    Of several replicas, `stubs`, it asks the one where the fewest of its requests are.
    """

    def __init__(self, workload: Workload) -> None:
        self.stubs: list[InferenceServiceStub] = []
        self._workload = workload
        self._asked = 0
        self._loads: Counter[int] = Counter()

    async def ask(
        self,
        budget: int,
        began: float | None = None,
        got: Callable[[int, bool], None] = lambda _tokens, _first: None,
    ) -> Asked:
        """Ask once, and again when refused; call `got` with each chunk."""
        self._asked += 1
        request = self._workload.request(question(self._asked), budget)
        now = time.perf_counter()
        asked = Asked(now - (now if began is None else began), budget)
        for _ in range(2):
            place = min(range(len(self.stubs)), key=self._loads.__getitem__)
            self._loads[place] += 1
            try:
                async for response in self.stubs[place].Reason(request):  # type: ignore[attr-defined]
                    if response.HasField("end"):
                        asked.tokens = response.end.signal_tokens
                    else:
                        got(len(response.chunk.tokens.ids), not asked.first_s)
                        asked.first_s = asked.first_s or time.perf_counter() - now
                asked.total_s = time.perf_counter() - now
                return asked
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
                asked.refusals += 1
                wait_s = retry_after(error)
            finally:
                self._loads[place] -= 1
            if asked.refusals == 1:
                await asyncio.sleep(wait_s)
        return asked


def retry_after(error: grpc.aio.AioRpcError) -> float:
    """Return the retry delay in seconds that the service asks for."""
    status = rpc_status.from_call(error)
    info = error_details_pb2.RetryInfo()
    for detail in status.details if status else ():
        if detail.Is(info.DESCRIPTOR) and detail.Unpack(info):
            return float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
    return 0.0


def _compare(
    name: str, per_s: float, seen: Sequence[Asked], engine: Engine, replicas: int = 1
) -> CheckLoad:
    model = replay(seen, engine, replicas)
    measured = np.asarray([each.total_s for each in seen if each.total_s is not None])
    modelled = np.asarray(model.reason)
    refused = sum(each.refusals > 0 for each in seen) / len(seen)
    return CheckLoad(
        name=name,
        per_s=per_s,
        asked=len(seen),
        replicas=replicas,
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


def replay(seen: Sequence[Asked], engine: Engine, replicas: int = 1) -> Seen:
    """Simulate the same requests at the same times."""
    costs = Costs(
        engine=engine,
        device=Device(first_answer_s=0.0, answer_tokens_per_s=1.0),
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
