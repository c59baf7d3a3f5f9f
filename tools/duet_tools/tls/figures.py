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
from pathlib import Path
from typing import Any

# Before gRPC: it selects the TLS versions.
from duet_tools.tls.services import Side, Sides, engines, scripted

import click  # isort: skip
import grpc  # isort: skip

from duet_contract.commands import Integer, Number
from duet_contract.json_data import parse_json
from duet_contract.manifest import Manifest, load_manifest
from duet_contract.pairs import find_pair
from duet_contract.v1.inference_pb2 import SIGNAL_ENCODING_TOKEN_IDS, ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from duet_tools import options
from duet_tools.bench.stats import differences, ratios, summarise
from duet_tools.link.relay import Count, Relay
from duet_tools.progress import public_command
from duet_tools.report.figures import title_of
from duet_tools.results.figures import Figure, Series, Target
from duet_tools.results.machine import load_average, new_results
from duet_tools.subjects.workload import question

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
    with Relay(f"127.0.0.1:{side.port}") as proxy:
        async with side.channel(proxy.port) as channel:
            await channel.channel_ready()
            await asyncio.sleep(_SETTLE_S)
            stood = proxy.count
            asked = []
            for _ in range(2):
                await _ask(channel, request)
                await asyncio.sleep(_SETTLE_S)
                asked.append(proxy.count)
    return stood, asked[0] - stood, asked[1] - asked[0]


async def _ask(channel: grpc.aio.Channel, request: ReasonRequest) -> int:
    tokens = 0
    async for response in InferenceServiceStub(channel).Reason(request):
        tokens += len(response.chunk.tokens.ids)
    return tokens


async def _throughput(side: Side, requests: Iterator[ReasonRequest], seconds: float) -> float:
    """Return tokens per second over 32 connections, each with streams until the time ends."""
    channels = [side.channel() for _ in range(_STREAMS)]
    await asyncio.gather(*(channel.channel_ready() for channel in channels))
    began = time.perf_counter()

    async def stream(channel: grpc.aio.Channel) -> int:
        tokens = await _ask(channel, next(requests))
        while time.perf_counter() - began < seconds:
            tokens += await _ask(channel, next(requests))
        return tokens

    tokens = sum(await asyncio.gather(*(stream(channel) for channel in channels)))
    took = time.perf_counter() - began
    for channel in channels:
        await channel.close()
    return tokens / took


def _handshake_figures(sides: Sides, request: ReasonRequest, repeats: int) -> list[Figure]:
    counts = [
        [asyncio.run(_connection_bytes(side, request)) for side in sides] for _ in range(repeats)
    ]
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
                    f"tls.{what}-{way}",
                    title,
                    (plain, secured),
                    unit="bytes",
                    judged=differences(secured, plain),
                    judged_unit="bytes more than plaintext",
                    target=Target(comparison="at most", value=target) if target else None,
                    warm_ups=0,
                )
            )
    return figures


def _figure(
    id_: str, title: str, values: tuple[Sequence[float], Sequence[float]], **fields: Any
) -> Figure:
    """Return a figure of mutual TLS against plaintext; `values` has plaintext first."""
    plain, secured = values
    return Figure(
        id=id_,
        title=title,
        subject=Series(name="mutual TLS", summary=summarise(secured)),
        peer=Series(name="plaintext", summary=summarise(plain)),
        **fields,
    )


def _start_figure(sides: Sides, pair: str, repeats: int) -> Figure:
    """Measure the start with the vault's key derived from a passphrase in each process."""
    before = load_average()
    took: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 1):
        for side, values in zip(sides, took, strict=True):
            seconds = _link_after_s(side, pair)
            if repeat:
                values.append(seconds)
    return _figure(
        "tls.start",
        "Start of duet-device ask until the link is ready",
        took,
        unit="s",
        judged=summarise(took[1]),
        judged_unit="s",
        target=Target(comparison="at most", value=0.5),
        load=(before, load_average()),
    )


def _link_after_s(side: Side, pair: str) -> float:
    run = "import sys; from duet_device.cli import main; sys.exit(main())"
    options = ["--server", f"127.0.0.1:{side.port}", "--pair", pair, "--budget", "8"]
    command = [sys.executable, "-c", run, "ask", "--json", "--require-cloud", *options, "What?"]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return float(parse_json(done.stdout)["ms"]["connect"]) / 1000


async def _turns(
    sides: Sides, requests: Sequence[Iterator[ReasonRequest]], repeats: int, seconds: float
) -> tuple[list[float], list[float]]:
    """Measure the throughput of both sides, repeat by repeat; each runs first in turn."""
    took: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 1):
        for index in (0, 1) if repeat % 2 else (1, 0):
            # The first is to warm up.
            length = seconds if repeat else seconds / 2
            value = await _throughput(sides[index], requests[index], length)
            if repeat:
                took[index].append(value)
    return took


def _throughput_figure(
    name: str,
    engine: str,
    sides: Sides,
    requests: Sequence[Iterator[ReasonRequest]],
    repeats: int,
    seconds: float,
) -> Figure:
    before = load_average()
    plain, secured = asyncio.run(_turns(sides, requests, repeats, seconds))
    return _figure(
        f"tls.throughput-{name}",
        f"Throughput, {_STREAMS} streams, {engine}",
        (plain, secured),
        unit="tokens/s",
        judged=ratios(secured, plain),
        judged_unit="ratio",
        target=Target(comparison="at least", value=0.97),
        load=(before, load_average()),
    )


def _measure(
    pair: str, manifest: Manifest, wanted: Collection[str], repeats: int, seconds: float
) -> Iterator[Figure]:
    request = request_of(manifest, "What is the capital of France, and why?", _TOKENS)
    same = [itertools.repeat(request)] * 2
    if {"handshake", "start", "paced"} & set(wanted):
        with scripted(pair, _TOKENS, 1 / _PACED) as sides:
            if "handshake" in wanted:
                yield from _handshake_figures(sides, request, repeats)
            if "start" in wanted:
                yield _start_figure(sides, pair, repeats)
            if "paced" in wanted:
                engine = f"engine of {_PACED:.0f} tokens/s a stream"
                yield _throughput_figure("paced", engine, sides, same, repeats, seconds)
    if "saturated" in wanted:
        with scripted(pair, _TOKENS, 0.0) as sides:
            engine = "engine that costs nothing"
            yield _throughput_figure("saturated", engine, sides, same, repeats, seconds)
    if "engine" in wanted:
        # Both get the same questions, each question once, so that no prefix cache answers.
        fresh = [
            (request_of(manifest, question(n), _ENGINE_TOKENS, 0.0) for n in itertools.count())
            for _ in range(2)
        ]
        with engines(pair) as sides:
            # One question a stream and repeat: a round is seconds long already.
            yield _throughput_figure("engine", "vLLM", sides, fresh, repeats, 0.0)


def request_of(
    manifest: Manifest, text: str, budget: int, temperature: float | None = None
) -> ReasonRequest:
    """Return a request as a device with the pair's vocabulary makes it."""
    return ReasonRequest(
        question=text,
        budget=budget,
        encodings=[SIGNAL_ENCODING_TOKEN_IDS],
        vocabulary=bytes.fromhex(manifest.reasoner.vocabulary.sha256),
        temperature=temperature,
    )


@click.command(epilog=options.EXIT_CODES)
@options.pair(options.MEASURED_PAIR)
@click.option("--repeats", type=Integer(1, 100), default=5, metavar="N", help="Number of repeats.")
@click.option(
    "--seconds",
    type=Number(0.1, 3600),
    default=4.0,
    metavar="S",
    help="Length of a throughput run in seconds.",
)
@click.option(
    "--figures",
    default=",".join(_FIGURES),
    metavar="NAME,...",
    help="Figures to measure.",
)
@click.option(
    "--out",
    type=options.FILE,
    metavar="FILE",
    help="Results file; figures in it that are not measured now stay.",
)
def tls(pair: str, repeats: int, seconds: float, figures: str, out: Path | None) -> None:
    """Measure the cost of mutual TLS: handshake bytes, start of a question, throughput."""
    wanted = options.chosen(figures, _FIGURES, "figure")
    manifest = load_manifest(find_pair(pair))
    results = new_results(manifest.reference, out)
    facts = {"command": public_command(), "commit": results.commit}
    for figure in _measure(pair, manifest, wanted, repeats, seconds):
        judged, met = figure.judged, {True: "met", False: "not met", None: ""}[figure.met]
        print(f"{title_of(figure)}: {figure.subject.summary.median:.4g} against "
              f"{figure.peer.summary.median if figure.peer else 0:.4g} {figure.unit}; "
              f"{judged.median:.3g} ({judged.min:.3g} to {judged.max:.3g}) {met}")  # fmt: skip
        results = results.with_figures((figure.model_copy(update=facts),))
        if out:
            out.write_text(results.to_json(), "utf-8")
