"""A service measured for the capacity model: its engine with steady streams, and random loads."""

import asyncio
import math
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import grpc

from duet_contract.channels import open_aio_channel
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from duet_device.link_errors import retry_after
from duet_tools.fleet.costs import EngineCosts, Speed
from duet_tools.subjects.asking import Window, at_times, is_full, reason, stubs
from duet_tools.subjects.workload import Workload, question

MAX_RUNNING = 8
MAX_WAITING = 8
LOAD_S = 28.0
OVERLOAD = "overload"
TWO = "overload, two replicas"
BUDGETS = (24, 88)
_STREAMS = (1, 2, 4, 8)
_ROUNDS = 1
_CALIBRATION_BUDGET = 64
# How long the full engine is watched, after it has settled.
_SETTLE_S = 3.0
_FULL_S = 9.0


@dataclass
class TimedRequest:
    """One request as its client saw it."""

    at: float
    """When it was first sent, in seconds from the start of the load."""
    tokens: int
    """Number of tokens that it got; its budget before that."""
    first_s: float = 0.0
    """Seconds from then to its first token."""
    total_s: float | None = None
    """Seconds from then to its end; None: it was never admitted."""
    refusals: int = 0
    """Number of times that it was refused."""


@dataclass(frozen=True)
class MeasuredLoad:
    """A load as its clients saw it."""

    name: str
    """Name of the load."""
    per_s: float
    """Target rate in requests per second."""
    asked: Sequence[TimedRequest]
    """Requests of the load."""
    replicas: int
    """Replicas that the requests were spread over."""
    engine: EngineCosts
    """The engine as it was just before and just after the load."""


async def measure(
    addresses: Sequence[str], workload: Workload, say: Callable[[str], None]
) -> tuple[EngineCosts, list[MeasuredLoad]]:
    """Measure the engine at the first address, then the loads over all of them.

    The engine is measured again after each load: a machine that others use, too, is not as fast all
    the time.
    """
    async with stubs(map(open_aio_channel, addresses)) as every:
        client = RetryingClient(workload, every[:1])
        say("measuring the engine")
        calibrations = [await _calibrate(client)]
        engine = engine_of(calibrations)
        capacity = 1 / (
            engine.prefill_s + statistics.fmean(BUDGETS) * engine.step_s(MAX_RUNNING) / MAX_RUNNING
        )
        loads = []
        for number, (name, count) in enumerate(requests_of(capacity, len(every)).items()):
            say(f"{name}: {count} requests in {LOAD_S:g} s")
            sent = arrivals(count, random.Random(number))
            client.stubs = every
            began = time.perf_counter()
            calls = (client.ask(budget, began) for _, budget in sent)
            asked = await at_times((at for at, _ in sent), calls)
            say("measuring the engine again")
            client.stubs = every[:1]
            calibrations.append(await _calibrate(client))
            around = engine_of(calibrations[-2:])
            loads.append(MeasuredLoad(name, count / LOAD_S, asked, len(every), around))
        return engine_of(calibrations), loads


@dataclass
class EngineTimes:
    """Measured times of an engine."""

    steps: dict[int, list[float]]
    """Seconds of steps, by the number of streams."""
    firsts: list[float]
    """Seconds to the first token of a lone request."""
    seconds: float
    """Seconds during which the engine was full."""
    tokens: int
    """Tokens that it generated in that time."""
    prompts: int
    """Prompts that it began in that time."""


def engine_of(calibrations: Sequence[EngineTimes]) -> EngineCosts:
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
    return EngineCosts(
        speeds=tuple(
            Speed(streams=streams, tokens_per_s=streams / step) for streams, step in steps.items()
        ),
        prefill_s=prefill,
        overhead_s=max(0.0, first - prefill - steps[1]),
    )


async def _calibrate(client: "RetryingClient") -> EngineTimes:
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
    draws, full = random.Random("full"), Window()
    clients = [lambda got: client.ask(draws.randint(*BUDGETS), got=got)] * MAX_RUNNING
    await full.count(clients, _SETTLE_S, _FULL_S)
    return EngineTimes(steps, firsts, full.seconds, full.tokens, full.signals)


def requests_of(capacity: float, replicas: int = 1) -> dict[str, int]:
    """Return the number of requests of each load by its name; several replicas get the overload alone.

    The overload exceeds the capacity, in requests a second, by twice all running and waiting slots,
    so that some are refused even if the engine is somewhat faster than measured.
    """
    carried = capacity * LOAD_S * replicas
    places = replicas * (MAX_RUNNING + MAX_WAITING)
    if replicas > 1:
        return {TWO: math.ceil(carried) + 2 * places}
    return {
        "light, 40% of capacity": max(1, round(0.4 * carried)),
        "heavy, 80%": max(1, round(0.8 * carried)),
        OVERLOAD: math.ceil(carried) + 2 * places,
    }


def arrivals(count: int, draws: random.Random) -> list[tuple[float, int]]:
    """Return send times and budgets of `count` requests in `LOAD_S`, a Poisson process."""
    return [
        (at, draws.randint(*BUDGETS))
        for at in sorted(draws.uniform(0, LOAD_S) for _ in range(count))
    ]


class RetryingClient:
    """Asks questions that were not asked before, and again when refused, as a device does.

    Of several replicas, `stubs`, it asks the one where the fewest of its requests are.
    """

    def __init__(self, workload: Workload, stubs: Sequence[InferenceServiceStub]) -> None:
        self.stubs = stubs
        self._workload = workload
        self._asked = 0
        self._loads: Counter[int] = Counter()

    async def ask(
        self, budget: int, began: float | None = None, got: Callable[[int], None] = lambda _: None
    ) -> TimedRequest:
        """Ask once, and again when refused; call `got` with the tokens of each chunk."""
        self._asked += 1
        request = self._workload.request(question(self._asked), budget)
        now = time.perf_counter()
        asked = TimedRequest(now - (now if began is None else began), budget)
        while True:
            waited_s = time.perf_counter() - now
            try:
                with self._least_loaded() as stub:
                    found = await reason(stub, request, got)
            except grpc.aio.AioRpcError as error:
                if not is_full(error):
                    raise
                asked.refusals += 1
                if asked.refusals == 2:
                    return asked
                await asyncio.sleep(retry_after(error) or 0.0)
            else:
                asked.tokens = found.tokens
                asked.first_s, asked.total_s = waited_s + found.first_s, waited_s + found.total_s
                return asked

    @contextmanager
    def _least_loaded(self) -> Iterator[InferenceServiceStub]:
        place = min(range(len(self.stubs)), key=self._loads.__getitem__)
        self._loads[place] += 1
        try:
            yield self.stubs[place]
        finally:
            self._loads[place] -= 1
