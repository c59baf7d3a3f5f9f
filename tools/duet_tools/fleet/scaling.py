"""What two replicas carry next to one, and what metrics and traces cost: `duet-bench replicas`.

    duet-bench replicas --out tools/duet_tools/results/replicas.json
    duet-bench replicas --figures replicas --database postgresql://USER@HOST/EMPTY

On the tests' scripted engine, so that what is compared is the service. Run in the repository.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import click
import grpc

from duet_contract.manifest import load_manifest
from duet_contract.pairs import find_pair
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from duet_tools import options
from duet_tools.bench.run import write_figures
from duet_tools.bench.stats import compared, in_turns, summarise
from duet_tools.fleet.check import retry_after
from duet_tools.fleet.collector import collector, scraping
from duet_tools.results.figures import Figure, Target
from duet_tools.results.machine import load_average
from duet_tools.subjects.children import free_port
from duet_tools.tls.figures import request_of
from duet_tools.tls.services import Side, Start, script, scripted

STREAMS = 32
_TOKENS = 128
# Of one stream a second.
_PACE = 100.0
# Streams of a replica: 32 clients are more than two replicas carry, and are refused at times.
_SLOTS = 12
_WAITING = 2
_GROUPS = ("replicas", "observed")


class Carried:
    """What clients received within a window of time."""

    def __init__(self) -> None:
        self.counting = False
        self.tokens = 0
        self.asked = 0
        self.refused = 0

    async def ask(self, channel: grpc.aio.Channel, request: ReasonRequest) -> None:
        """Ask once; wait as long as the service says where it refuses."""
        self.asked += self.counting
        try:
            async for response in InferenceServiceStub(channel).Reason(request):
                if self.counting:
                    self.tokens += len(response.chunk.tokens.ids)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            self.refused += self.counting
            await asyncio.sleep(retry_after(error))


async def carried(
    sides: Sequence[Side], request: ReasonRequest, streams: int, seconds: float
) -> tuple[float, float]:
    """Ask over as many connections as streams, spread over services, without a pause.

    Returns:
        Tokens a second, and the share of refused requests.
    """
    found = Carried()
    channels = [sides[number % len(sides)].channel() for number in range(streams)]
    await asyncio.gather(*(channel.channel_ready() for channel in channels))

    async def keep_asking(channel: grpc.aio.Channel) -> None:
        while True:
            await found.ask(channel, request)

    clients = [asyncio.create_task(keep_asking(channel)) for channel in channels]
    # Until signals end at different times.
    await asyncio.sleep(seconds / 2)
    began, found.counting = time.perf_counter(), True
    await asyncio.wait(clients, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    took, found.counting = time.perf_counter() - began, False
    for client in clients:
        client.cancel()
    for ended in await asyncio.gather(*clients, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended
    for channel in channels:
        await channel.close()
    return found.tokens / took, found.refused / max(1, found.asked)


def _carried(sides: Sequence[Side], request: ReasonRequest, seconds: float) -> tuple[float, float]:
    return asyncio.run(carried(sides, request, STREAMS, seconds))


def _replicas_figure(
    pair: str, request: ReasonRequest, repeats: int, seconds: float, database: str | None
) -> Figure:
    """Compare two replicas with one; with a database they share identities and limits."""
    before = load_average()
    engine = script(tokens=_TOKENS, pause_s=1 / _PACE, slots=_SLOTS)
    replica = Start(("--max-waiting", str(_WAITING)), engine, secured=database is not None)
    with scripted(pair, replica, replica, database=database) as sides:
        measures = {n: partial(_carried, sides[:n], request, seconds) for n in (1, 2)}
        took = in_turns(repeats, measures)
    rates, refused = ({n: [each[what] for each in took[n]] for n in took} for what in (0, 1))
    shared = ", mutual TLS, limits in one PostgreSQL database" if database else ""
    return compared(
        f"replicas.two{'-shared' if database else ''}",
        f"Two replicas under overload, {STREAMS} streams{shared}",
        "tokens/s",
        ("two replicas", rates[2]),
        ("one replica", rates[1]),
        target=Target(comparison="at least", value=1.9),
        details={
            "refused, one replica": summarise(refused[1]).median,
            "refused, two replicas": summarise(refused[2]).median,
            "slots of a replica": _SLOTS,
        },
        load=(before, load_average()),
    )


def _observed_figure(
    name: str, pair: str, request: ReasonRequest, repeats: int, seconds: float
) -> Figure:
    """Compare a service whose metrics and spans are read with one that has neither."""
    pause = 0.0 if name == "saturated" else 1 / _PACE
    engine = script(tokens=_TOKENS, pause_s=pause)
    before = load_average()
    port = free_port()
    with collector() as traces:
        plain = Start(environment=engine | script(unobserved=1))
        observed = Start(("--metrics-port", str(port)), engine | script(traces=traces.address))
        with scripted(pair, plain, observed) as sides, scraping(port) as scraped:
            measures = {side.port: partial(_carried, [side], request, seconds) for side in sides}
            without, with_both = (
                [rate for rate, _ in values] for values in in_turns(repeats, measures).values()
            )
    how = "engine that costs nothing" if not pause else f"{_PACE:g} tokens/s a stream"
    return compared(
        f"observed.{name}",
        f"Metrics and traces, {STREAMS} streams, {how}",
        "tokens/s",
        ("metrics scraped, traces exported", with_both),
        ("neither", without),
        target=Target(comparison="at least", value=0.99),
        details={"spans received": traces.spans, "scrapes": scraped.count},
        load=(before, load_average()),
    )


def _measure(
    chosen: Sequence[str],
    pair: str,
    request: ReasonRequest,
    repeats: int,
    seconds: float,
    database: str | None,
) -> Iterator[Figure]:
    if "replicas" in chosen:
        yield _replicas_figure(pair, request, repeats, seconds, database)
    if "observed" in chosen:
        for name in ("paced", "saturated"):
            yield _observed_figure(name, pair, request, repeats, seconds)


@click.command(epilog=options.EXIT_CODES)
@options.pair(options.MEASURED_PAIR)
@options.repeats
@options.seconds(0.5, default=6.0)
@options.figures(_GROUPS)
@click.option(
    "--database",
    metavar="URL",
    envvar="DUET_DATABASE",
    help="Empty PostgreSQL database that the replicas share [none: no identities].",
)
@options.results_file
def replicas(
    pair: str, repeats: int, seconds: float, figures: str, database: str | None, out: Path | None
) -> None:
    """Measure what two replicas carry, and what metrics and traces cost."""
    chosen = options.chosen(figures, _GROUPS, "figure")
    manifest = load_manifest(find_pair(pair))
    request = request_of(manifest, "What is the capital of France, and why?", _TOKENS)
    measured = _measure(chosen, pair, request, repeats, seconds, database)
    write_figures(measured, manifest.reference, out)
