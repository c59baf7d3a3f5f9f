"""What mutual TLS costs: bytes of a handshake, the start of a question, throughput at 32 streams.

    python -m tools.tls_cost --out tools/results/tls_cost.json

Both services run with the tests' scripted engine, so that what is compared is the service: with a
real engine, which is far slower, mutual TLS costs less.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from device.identity.credentials import Identity

# Before gRPC: it says which TLS is spoken.
from device.identity.enrollment import enroll

import grpc  # isort: skip

from duet_contract.manifest import load_manifest
from duet_contract.pairs import DEFAULT_PAIR, find_pair
from duet_contract.v1.inference_pb2 import SIGNAL_ENCODING_TOKEN_IDS, ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from tools.bench.machine import commit, describe_machine, load_average
from tools.bench.results import Figure, Results, Series, Target
from tools.bench.stats import differences, ratios, summarise
from tools.counting_proxy import Count, CountingProxy

_COMMAND = "python -m tools.tls_cost --out tools/results/tls_cost.json"
_STREAMS = 32
_TOKENS = 128
# What a settled connection may still send: settings, session tickets.
_SETTLE_S = 0.3
_OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0)]
# Tokens of one stream a second: 32 streams of it are what a GPU's engine gives a small reasoner.
_PACED = 100.0


@dataclass(frozen=True)
class Side:
    """A service and how it is reached; None: in the clear."""

    port: int
    credentials: grpc.ChannelCredentials | None

    def channel(self, port: int | None = None) -> grpc.aio.Channel:
        """A connection of its own, to the service or to a proxy in front of it."""
        address = f"127.0.0.1:{port or self.port}"
        if self.credentials is None:
            return grpc.aio.insecure_channel(address, _OPTIONS)
        return grpc.aio.secure_channel(address, self.credentials, _OPTIONS)


@contextmanager
def served(pair: str, pause_s: float, *options: str) -> Iterator[dict[str, int]]:
    """A scripted service; its ports."""
    environment = {
        **os.environ,
        "SCRIPT_TOKENS": str(_TOKENS),
        "SCRIPT_PAUSE_S": str(pause_s),
    }
    command = [sys.executable, "-m", "tests.doubles.scripted_service", pair, *options]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    )
    try:
        assert process.stdout
        ports: dict[str, int] = json.loads(process.stdout.readline())
        yield ports
    finally:
        process.kill()
        process.wait()


@contextmanager
def both(pair: str, pause_s: float) -> Iterator[tuple[Side, Side]]:
    """A plaintext service and one with mutual TLS, with this process enrolled as its device."""
    with tempfile.TemporaryDirectory() as scratch:
        os.environ |= {
            "DUET_HOME": f"{scratch}/home",
            "DUET_PASSPHRASE": "for the length of a measurement",
            "DUET_AUTHORITY": f"{scratch}/authority",
            "DUET_AUTHORITY_PASSPHRASE": "for the length of a measurement",
        }
        _admin("init")
        code = _admin("invite", "bench")
        tls = ["--tls-dir", f"{scratch}/authority", "--enrolment-port", "0"]
        with served(pair, pause_s) as plain, served(pair, pause_s, *tls) as secured:
            identity: Identity = enroll(
                f"127.0.0.1:{secured['enrolment_port']}", code.strip()
            ).identity
            yield Side(plain["port"], None), Side(secured["port"], identity.credentials())


def _admin(*arguments: str) -> str:
    command = [sys.executable, "-m", "cloud.admin", *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


async def _connection_bytes(side: Side, request: ReasonRequest) -> tuple[Count, Count, Count]:
    """Bytes of a connection until it stands, of its first question, of its second."""
    with CountingProxy("127.0.0.1", side.port) as proxy:
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
        tokens += len(response.piece.tokens.ids)
    return tokens


async def _throughput(side: Side, request: ReasonRequest, seconds: float) -> float:
    """Tokens a second over 32 connections with a stream each, begun anew as they end."""
    channels = [side.channel() for _ in range(_STREAMS)]
    await asyncio.gather(*(channel.channel_ready() for channel in channels))
    began = time.perf_counter()

    async def stream(channel: grpc.aio.Channel) -> int:
        tokens = 0
        while time.perf_counter() - began < seconds:
            tokens += await _ask(channel, request)
        return tokens

    tokens = sum(await asyncio.gather(*(stream(channel) for channel in channels)))
    took = time.perf_counter() - began
    for channel in channels:
        await channel.close()
    return tokens / took


def _handshake_figures(
    sides: tuple[Side, Side], request: ReasonRequest, repeats: int
) -> list[Figure]:
    counts = [
        [asyncio.run(_connection_bytes(side, request)) for side in sides] for _ in range(repeats)
    ]
    figures = []
    for way, most in (("up", 2500.0), ("down", 3000.0)):
        for index, (what, title, target) in enumerate(
            (
                ("handshake", f"Mutual TLS handshake, bytes {way}", most),
                ("first", f"First question on a connection, bytes {way}", None),
                ("kept", f"Question on a kept connection, bytes {way}", None),
            )
        ):
            plain = [float(getattr(pair[0][index], way)) for pair in counts]
            secured = [float(getattr(pair[1][index], way)) for pair in counts]
            figures.append(
                Figure(
                    id=f"tls.{what}-{way}",
                    title=title,
                    unit="bytes",
                    subject=Series(name="mutual TLS", summary=summarise(secured)),
                    peer=Series(name="plaintext", summary=summarise(plain)),
                    judged=differences(secured, plain),
                    judged_unit="bytes more than plaintext",
                    target=Target(comparison="at most", value=target) if target else None,
                    warm_ups=0,
                    command=_COMMAND,
                )
            )
    return figures


def _start_figure(sides: tuple[Side, Side], pair: str, repeats: int) -> Figure:
    """The vault's key behind a passphrase, which is stretched anew by each process."""
    before = load_average()
    took: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 1):
        for side, values in zip(sides, took, strict=True):
            seconds = _link_after_s(side, pair)
            if repeat:
                values.append(seconds)
    return Figure(
        id="tls.start",
        title="Start of duet-device ask until the link stands",
        unit="s",
        subject=Series(name="mutual TLS", summary=summarise(took[1])),
        peer=Series(name="plaintext", summary=summarise(took[0])),
        judged=summarise(took[1]),
        judged_unit="s",
        target=Target(comparison="at most", value=0.5),
        load=(before, load_average()),
        command=_COMMAND,
    )


def _link_after_s(side: Side, pair: str) -> float:
    run = "import sys; from device.cli import main; sys.exit(main())"
    options = ["--server", f"127.0.0.1:{side.port}", "--pair", pair, "--budget", "8"]
    command = [sys.executable, "-c", run, "ask", "--json", "--require-cloud", *options, "What?"]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return float(json.loads(done.stdout)["ms"]["connect"]) / 1000


async def _turns(
    sides: tuple[Side, Side], request: ReasonRequest, repeats: int, seconds: float
) -> tuple[list[float], list[float]]:
    plain, secured = [], []
    for side in sides:
        await _throughput(side, request, seconds / 2)
    for _ in range(repeats):
        plain.append(await _throughput(sides[0], request, seconds))
        secured.append(await _throughput(sides[1], request, seconds))
    return plain, secured


def _throughput_figure(
    name: str,
    title: str,
    sides: tuple[Side, Side],
    request: ReasonRequest,
    options: argparse.Namespace,
) -> Figure:
    before = load_average()
    plain, secured = asyncio.run(_turns(sides, request, options.repeats, options.seconds))
    return Figure(
        id=f"tls.throughput-{name}",
        title=title,
        unit="tokens/s",
        subject=Series(name="mutual TLS", summary=summarise(secured)),
        peer=Series(name="plaintext", summary=summarise(plain)),
        judged=ratios(secured, plain),
        judged_unit="",
        target=Target(comparison="at least", value=0.97),
        load=(before, load_average()),
        command=_COMMAND,
    )


def main() -> int:
    """Measures, prints, and writes the results if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pair", default=DEFAULT_PAIR)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a throughput run")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    manifest = load_manifest(find_pair(options.pair))
    request = ReasonRequest(
        question="What is the capital of France, and why?",
        budget=_TOKENS,
        encodings=[SIGNAL_ENCODING_TOKEN_IDS],
        vocabulary=bytes.fromhex(manifest.reasoner.vocabulary.sha256),
    )
    figures: list[Figure] = []
    with both(options.pair, 1 / _PACED) as sides:
        figures += _handshake_figures(sides, request, options.repeats)
        figures.append(_start_figure(sides, options.pair, options.repeats))
        title = f"Throughput, {_STREAMS} streams, engine of {_PACED:.0f} tokens/s a stream"
        figures.append(_throughput_figure("paced", title, sides, request, options))
    with both(options.pair, 0.0) as sides:
        title = f"Throughput, {_STREAMS} streams, engine that costs nothing"
        figures.append(_throughput_figure("saturated", title, sides, request, options))
    for figure in figures:
        judged, met = figure.judged, {True: "met", False: "not met", None: ""}[figure.met]
        print(f"{figure.title}: {figure.subject.summary.median:.4g} against "
              f"{figure.peer.summary.median if figure.peer else 0:.4g} {figure.unit}; "
              f"{judged.median:.3g} ({judged.min:.3g} to {judged.max:.3g}) {met}")  # fmt: skip
    if options.out:
        results = Results(
            machine=describe_machine(),
            pair=manifest.reference,
            commit=commit(),
            date=time.strftime("%Y-%m-%d", time.gmtime()),
            figures=tuple(figures),
        )
        options.out.write_text(results.to_json(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
