"""What two replicas carry next to one, and what metrics and traces cost: `duet-bench replicas`.

    duet-bench replicas --out tools/duet_tools/results/replicas.json
    duet-bench replicas --figures replicas --database postgresql://USER@HOST/EMPTY

On the tests' scripted engine, so that what is compared is the service. Run in the repository.
"""

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

# Before gRPC: it selects the TLS versions.
from duet_device.identity.enrollment import enroll
from duet_tools.tls.services import Side, invited, listens

import click  # isort: skip
import grpc  # isort: skip

from duet_contract.commands import Integer, Number
from duet_contract.manifest import load_manifest
from duet_contract.pairs import find_pair
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from duet_tools import options
from duet_tools.bench.stats import ratios, summarise
from duet_tools.errors import BenchError, UsageProblem
from duet_tools.fleet.check import retry_after
from duet_tools.fleet.collector import collector, scraping
from duet_tools.report.figures import title_of
from duet_tools.results.figures import Figure, Results, Series, Target, read_results
from duet_tools.results.machine import commit, describe_machine, load_average
from duet_tools.subjects.children import Child, free_port, serves
from duet_tools.subjects.subject import READY_S
from duet_tools.tls.figures import request_of

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


@contextmanager
def _services(
    pair: str, scripts: Sequence[dict[str, str]], service_options: Sequence[Sequence[str]]
) -> Iterator[list[int]]:
    """Start services with the scripted engine at the same time; return their ports."""
    with ExitStack() as stack:
        ports = []
        for number, (script, more) in enumerate(zip(scripts, service_options, strict=True)):
            ports.append(free_port())
            command = [sys.executable, "-m", "tests.doubles.scripted_service", "serve"]
            command += ["--pair", pair, "--port", str(ports[-1]), *more]
            child = stack.enter_context(Child(f"service {number + 1}", command, script))
            child.wait_until(lambda: listens(ports[-1]), READY_S)
        yield ports


@contextmanager
def _replicas(pair: str, database: str | None) -> Iterator[list[Side]]:
    """Two replicas; with a database they share identities and limits, over mutual TLS."""
    script = {
        "SCRIPT_TOKENS": str(_TOKENS),
        "SCRIPT_PAUSE_S": str(1 / _PACE),
        "SCRIPT_SLOTS": str(_SLOTS),
    }
    limits = ["--max-waiting", str(_WAITING)]
    with ExitStack() as stack:
        more, code, enrollment = [limits, limits], "", free_port()
        if database:
            tls, code = stack.enter_context(invited(database))
            more = [[*limits, *tls, "--enrollment-port", str(enrollment)], [*limits, *tls]]
        ports = stack.enter_context(_services(pair, [script, script], more))
        credentials = None
        if database:
            credentials = enroll(f"127.0.0.1:{enrollment}", code).identity.credentials()
        sides = [Side(port, credentials) for port in ports]
        for side in sides:
            _wait_ready(side)
        yield sides


def _wait_ready(side: Side) -> None:
    end = time.monotonic() + READY_S
    while not serves(f"127.0.0.1:{side.port}", side.credentials):
        if time.monotonic() > end:
            raise BenchError(f"a service is not ready after {READY_S:g} s")
        time.sleep(0.1)


def _replicas_figure(
    pair: str, request: ReasonRequest, repeats: int, seconds: float, database: str | None
) -> Figure:
    before = load_average()
    took: dict[int, list[float]] = {1: [], 2: []}
    refused: dict[int, list[float]] = {1: [], 2: []}
    with _replicas(pair, database) as sides:
        for repeat in range(repeats + 1):
            for count in (1, 2) if repeat % 2 else (2, 1):
                rate, share = asyncio.run(carried(sides[:count], request, STREAMS, seconds))
                if repeat:
                    took[count].append(rate)
                    refused[count].append(share)
    shared = ", mutual TLS, limits in one PostgreSQL database" if database else ""
    return Figure(
        id=f"replicas.two{'-shared' if database else ''}",
        title=f"Two replicas under overload, {STREAMS} streams{shared}",
        unit="tokens/s",
        subject=Series(name="two replicas", summary=summarise(took[2])),
        peer=Series(name="one replica", summary=summarise(took[1])),
        judged=ratios(took[2], took[1]),
        judged_unit="ratio",
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
    script = {"SCRIPT_TOKENS": str(_TOKENS), "SCRIPT_PAUSE_S": str(pause)}
    before = load_average()
    took: tuple[list[float], list[float]] = ([], [])
    metrics_port = free_port()
    with collector() as traces:
        scripts = [
            {**script, "SCRIPT_UNOBSERVED": "1"},
            {**script, "SCRIPT_TRACES": traces.address},
        ]
        more = [[], ["--metrics-port", str(metrics_port)]]
        with _services(pair, scripts, more) as ports, scraping(metrics_port) as scraped:
            sides = [Side(port, None) for port in ports]
            for side in sides:
                _wait_ready(side)
            for repeat in range(repeats + 1):
                for index in (0, 1) if repeat % 2 else (1, 0):
                    rate, _ = asyncio.run(carried([sides[index]], request, STREAMS, seconds))
                    if repeat:
                        took[index].append(rate)
    plain, observed = took
    engine = "engine that costs nothing" if not pause else f"{_PACE:g} tokens/s a stream"
    return Figure(
        id=f"observed.{name}",
        title=f"Metrics and traces, {STREAMS} streams, {engine}",
        unit="tokens/s",
        subject=Series(name="metrics scraped, traces exported", summary=summarise(observed)),
        peer=Series(name="neither", summary=summarise(plain)),
        judged=ratios(observed, plain),
        judged_unit="ratio",
        target=Target(comparison="at least", value=0.99),
        details={"spans received": traces.spans, "scrapes": scraped.count},
        load=(before, load_average()),
    )


@click.command(epilog=options.EXIT_CODES)
@options.pair(options.MEASURED_PAIR)
@click.option("--repeats", type=Integer(1, 100), default=5, metavar="N", help="Number of repeats.")
@click.option(
    "--seconds",
    type=Number(0.5, 3600),
    default=6.0,
    metavar="S",
    help="Length of a run in seconds.",
)
@click.option(
    "--figures", default=",".join(_GROUPS), metavar="NAME,...", help="Figures to measure."
)
@click.option(
    "--database",
    metavar="URL",
    envvar="DUET_DATABASE",
    help="Empty PostgreSQL database that the replicas share [none: no identities].",
)
@click.option(
    "--out",
    type=options.FILE,
    metavar="FILE",
    help="Results file; figures in it that are not measured now stay.",
)
def replicas(
    pair: str, repeats: int, seconds: float, figures: str, database: str | None, out: Path | None
) -> None:
    """Measure what two replicas carry, and what metrics and traces cost."""
    chosen = figures.split(",")
    if unknown := set(chosen) - set(_GROUPS):
        raise UsageProblem(
            f"no figures named {', '.join(sorted(unknown))}; there are: {', '.join(_GROUPS)}"
        )
    if out and not out.parent.is_dir():
        raise UsageProblem(f"there is no directory {out.parent}")
    manifest = load_manifest(find_pair(pair))
    request = request_of(manifest, "What is the capital of France, and why?", _TOKENS)
    results = Results(
        machine=describe_machine(),
        pair=manifest.reference,
        commit=commit(),
        date=time.strftime("%Y-%m-%d", time.gmtime()),
    )
    if out and out.exists():
        results = results.with_figures(read_results(out).figures)
    shared = " --database URL" if database else ""
    command = (
        f"duet-bench replicas --figures {figures} --repeats {repeats} --seconds {seconds:g}{shared}"
    )

    def measure() -> Iterator[Figure]:
        if "replicas" in chosen:
            yield _replicas_figure(pair, request, repeats, seconds, database)
        if "observed" in chosen:
            for name in ("paced", "saturated"):
                yield _observed_figure(name, pair, request, repeats, seconds)

    for figure in measure():
        judged = figure.judged
        met = "met" if figure.met else "not met"
        print(f"{title_of(figure)}: {judged.median:.4f} ({judged.min:.4f} to {judged.max:.4f}) "
              f"{met}")  # fmt: skip
        facts = {"command": command, "commit": results.commit}
        results = results.with_figures((figure.model_copy(update=facts),))
        if out:
            out.write_text(results.to_json(), "utf-8")
