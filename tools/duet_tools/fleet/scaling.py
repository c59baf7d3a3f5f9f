"""What two replicas carry next to one, and what metrics and traces cost: `duet-bench replicas`.

    duet-bench replicas --out tools/duet_tools/results/replicas.json
    duet-bench replicas --figures replicas --database postgresql://USER@HOST/EMPTY

On the tests' scripted engine, so that what is compared is the service. Run in the repository.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_tools import options
from duet_tools.bench.run import record
from duet_tools.bench.stats import compared, in_turns, summarise
from duet_tools.fleet.collector import SpanCollector, scraping
from duet_tools.results.figures import Figure, Target
from duet_tools.subjects.asking import Window, reason, run, stubs
from duet_tools.subjects.children import free_port
from duet_tools.subjects.service import Script
from duet_tools.subjects.side_by_side import Side, Start, started
from duet_tools.subjects.workload import PLAIN_QUESTION, Workload

STREAMS = 32
_TOKENS = 128
# Of one stream a second.
_PACE = 100.0
# Streams of a replica: 32 clients are more than two replicas carry, and are refused at times.
_SLOTS = 12
_WAITING = 2
_GROUPS = ("replicas", "observed")


async def carried(
    sides: Sequence[Side], request: ReasonRequest, streams: int, seconds: float
) -> tuple[float, float]:
    """Ask over as many connections as streams, spread over services, without a pause.

    Returns:
        Tokens a second, and the share of refused requests.
    """
    found = Window()
    async with stubs(sides[number % len(sides)].channel() for number in range(streams)) as opened:
        clients = [partial(reason, stub, request) for stub in opened]
        # Until signals end at different times.
        await found.count(clients, seconds / 2, seconds)
    return found.tokens / found.seconds, found.refused / max(1, found.asked)


def _carried(sides: Sequence[Side], request: ReasonRequest, seconds: float) -> tuple[float, float]:
    return run(carried(sides, request, STREAMS, seconds))


def _replicas_figure(
    pair: Path, request: ReasonRequest, repeats: int, seconds: float, database: str | None
) -> Figure:
    """Compare two replicas with one; with a database they share identities and limits."""
    engine = Script(_TOKENS, 1 / _PACE, _SLOTS)
    replica = Start(engine, ("--max-waiting", str(_WAITING)), secured=database is not None)
    with started(pair, replica, replica, database=database) as sides:
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
    )


def _observed_figure(
    name: str, pair: Path, request: ReasonRequest, repeats: int, seconds: float
) -> Figure:
    """Compare a service whose metrics and spans are read with one that has neither."""
    pause = 0.0 if name == "saturated" else 1 / _PACE
    engine = Script(_TOKENS, pause)
    port = free_port()
    with SpanCollector() as traces:
        plain = Start(replace(engine, unobserved=1))
        observed = Start(replace(engine, traces=traces.address), ("--metrics-port", str(port)))
        with started(pair, plain, observed) as sides, scraping(port) as scraped:
            measures = {
                side.service.port: partial(_carried, [side], request, seconds) for side in sides
            }
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
    )


def _measure(
    chosen: Sequence[str],
    pair: Path,
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
    pair: str,
    repeats: int,
    seconds: float,
    figures: tuple[str, ...],
    database: str | None,
    out: Path | None,
) -> None:
    """Measure what two replicas carry, and what metrics and traces cost."""
    workload = Workload.open(pair)
    request = workload.request(PLAIN_QUESTION, _TOKENS)
    measured = _measure(figures, workload.directory, request, repeats, seconds, database)
    record(measured, workload.manifest.reference, out)
