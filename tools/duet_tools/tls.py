"""What mutual TLS costs: bytes of a handshake, the start of a question, throughput at 32 streams.

    duet-bench tls --out tools/duet_tools/results/tls_cost.json
    duet-bench tls --figures engine --out tools/duet_tools/results/tls_cost.json

Everything but `engine` runs on the tests' scripted engine, so that what is compared is the service;
`engine` is vLLM with the pair's reasoner. The two services take turns in one run.
"""

import asyncio
import itertools
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import click

from duet_contract.json_data import parse_json
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from duet_tools import options
from duet_tools.bench.run import record
from duet_tools.bench.stats import compared, differences, in_turns, summarise
from duet_tools.link.relay import Count, Relay, settled
from duet_tools.results.figures import Figure, Target
from duet_tools.subjects.asking import reason, run, stubs
from duet_tools.subjects.placement import staying_on
from duet_tools.subjects.service import Script
from duet_tools.subjects.side_by_side import Side, Start, started
from duet_tools.subjects.subject import engine_flags
from duet_tools.subjects.workload import PLAIN_QUESTION, Workload, question

# In the clear, with mutual TLS.
Sides = Sequence[Side]

# A handshake's bytes above plaintext.
MOST_UP, MOST_DOWN = 2500, 3 * 1024
_STREAMS = 32
_TOKENS = 128
# Of a real engine, which on two cores takes seconds for 32 of them.
_ENGINE_TOKENS = 64
# What a settled connection may still send: settings, session tickets.
_SETTLE_S = 0.3
# Tokens of one stream a second: 32 streams of it are what a GPU's engine gives a small reasoner.
_PACED = 100.0
_FIGURES = ("handshake", "start", "paced", "saturated", "engine")


async def _connection_bytes(side: Side, request: ReasonRequest) -> tuple[Count, Count, Count]:
    """Return the bytes of a connection's opening, of its first question and of its second."""
    with Relay(side.service.address) as proxy:
        async with stubs([side.channel(proxy.address)]) as (stub,):
            counts = []
            for asked in (None, request, request):
                if asked:
                    await reason(stub, asked)
                counts.append(await asyncio.to_thread(settled, lambda: proxy.count, _SETTLE_S))
    opened, first, second = counts
    return opened, first - opened, second - first


def _throughput(side: Side, requests: Iterator[ReasonRequest], seconds: float) -> float:
    """Return tokens per second over 32 connections, each with streams until the time ends."""

    async def streamed() -> float:
        async with stubs(side.channel() for _ in range(_STREAMS)) as opened:
            began = time.perf_counter()

            async def stream(stub: InferenceServiceStub) -> int:
                tokens = (await reason(stub, next(requests))).tokens
                while time.perf_counter() - began < seconds:
                    tokens += (await reason(stub, next(requests))).tokens
                return tokens

            tokens = sum(await asyncio.gather(*map(stream, opened)))
            return tokens / (time.perf_counter() - began)

    return run(streamed())


def _handshake_figures(sides: Sides, request: ReasonRequest, repeats: int) -> list[Figure]:
    counts = [[run(_connection_bytes(side, request)) for side in sides] for _ in range(repeats)]
    figures = []
    for way, most in (("up", MOST_UP), ("down", MOST_DOWN)):
        for index, (what, title, target) in enumerate(
            (
                ("handshake", f"Mutual TLS handshake, bytes {way}", most),
                ("first", f"First question on a connection, bytes {way}", None),
                ("kept", f"Question on a reused connection, bytes {way}", None),
            )
        ):
            plain = [float(getattr(pair[0][index], way)) for pair in counts]
            secured = [float(getattr(pair[1][index], way)) for pair in counts]
            figures.append(
                _figure(
                    f"{what}-{way}",
                    title,
                    "bytes",
                    (plain, secured),
                    judged=differences(secured, plain),
                    judged_unit="bytes more than plaintext",
                    target=Target(comparison="at most", value=target) if target else None,
                    warm_ups=0,
                )
            )
    return figures


def _figure(
    id_: str, title: str, unit: str, values: Sequence[Sequence[float]], **more: Any
) -> Figure:
    """Return a figure of mutual TLS against plaintext; `values` has plaintext first."""
    plain, secured = values
    subject, peer = ("mutual TLS", secured), ("plaintext", plain)
    return compared(f"tls.{id_}", title, unit, subject, peer, **more)


def _start_figure(sides: Sides, pair: str, repeats: int) -> Figure:
    """Measure the start with the vault's key derived from a passphrase in each process."""
    took = in_turns(
        repeats, {side.service.port: partial(_link_after_s, side, pair) for side in sides}
    )
    plain, secured = took.values()
    return _figure(
        "start",
        "Start of duet-device ask until the link is ready",
        "s",
        (plain, secured),
        judged=summarise(secured),
        judged_unit="s",
        target=Target(comparison="at most", value=0.5),
    )


def _link_after_s(side: Side, pair: str) -> float:
    run = "import sys; from duet_device.cli import main; sys.exit(main())"
    options = ["--server", side.service.address, "--pair", pair, "--budget", "8"]
    command = [sys.executable, "-c", run, "ask", "--json", "--require-cloud", *options, "What?"]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return float(parse_json(done.stdout)["ms"]["connect"]) / 1000


def _throughput_figure(
    name: str,
    engine: str,
    sides: Sides,
    requests: Sequence[Iterator[ReasonRequest]],
    repeats: int,
    seconds: float,
) -> Figure:
    measures = {
        side.service.port: partial(_throughput, side, own, seconds)
        for side, own in zip(sides, requests, strict=True)
    }
    took = in_turns(repeats, measures)
    return _figure(
        f"throughput-{name}",
        f"Throughput, {_STREAMS} streams, {engine}",
        "tokens/s",
        list(took.values()),
        target=Target(comparison="at least", value=0.97),
    )


def _measure(
    workload: Workload, wanted: Collection[str], repeats: int, seconds: float
) -> Iterator[Figure]:
    request = workload.request(PLAIN_QUESTION, _TOKENS)
    same = [itertools.repeat(request)] * 2
    if {"handshake", "start", "paced"} & set(wanted):
        with _both(workload, Script(_TOKENS, 1 / _PACED)) as sides:
            if "handshake" in wanted:
                yield from _handshake_figures(sides, request, repeats)
            if "start" in wanted:
                yield _start_figure(sides, str(workload.directory), repeats)
            if "paced" in wanted:
                engine = f"engine of {_PACED:.0f} tokens/s a stream"
                yield _throughput_figure("paced", engine, sides, same, repeats, seconds)
    if "saturated" in wanted:
        with _both(workload, Script(_TOKENS, 0.0)) as sides:
            engine = "engine that costs nothing"
            yield _throughput_figure("saturated", engine, sides, same, repeats, seconds)
    if "engine" in wanted:
        # Both get the same questions, each question once, so that no prefix cache answers.
        fresh = [
            (workload.request(question(n), _ENGINE_TOKENS) for n in itertools.count())
            for _ in range(2)
        ]
        with (
            _both(workload, None, *engine_flags(workload, [])) as sides,
            staying_on(set.intersection(*(side.service.spread_out() for side in sides))),
        ):
            # One question a stream and repeat: a round is seconds long already.
            yield _throughput_figure("engine", "vLLM", sides, fresh, repeats, 0.0)


def _both(
    workload: Workload, engine: Script | None, *options: str
) -> AbstractContextManager[Sides]:
    """Services that differ in mutual TLS alone."""
    plain, secured = (Start(engine, options, secured) for secured in (False, True))
    return started(workload.directory, plain, secured)


@click.command(epilog=options.EXIT_CODES)
@options.pair(options.MEASURED_PAIR)
@options.repeats
@options.seconds(0.1, default=4.0)
@options.figures(_FIGURES)
@options.results_file
def tls(
    pair: str, repeats: int, seconds: float, figures: tuple[str, ...], out: Path | None
) -> None:
    """Measure the cost of mutual TLS: handshake bytes, start of a question, throughput."""
    workload = Workload.open(pair)
    measured = _measure(workload, figures, repeats, seconds)
    record(measured, workload.manifest.reference, out)
