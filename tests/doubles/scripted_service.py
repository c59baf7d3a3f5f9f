"""`python -m tests.doubles.scripted_service serve ...`: `duet-cloud`, its engine a script.

For what depends on the service alone. Environment: `SCRIPT_TOKENS` (of a signal), `SCRIPT_PAUSE_S`
(between two tokens of a stream), `SCRIPT_SLOTS` (streams at a time), `SCRIPT_TIMEOUT_S` (see
`Engine.timeout_s`), `SCRIPT_START_S` (seconds to load), `SCRIPT_UNOBSERVED` (no metrics),
`SCRIPT_TRACES` (OTLP endpoint of spans).

Greedy as a model is: the next token follows from the last one of the prompt, so that a signal that
is continued anywhere equals the one that was never cut. The core is a process of its own, `cat`,
which every token and every check passes; it can be killed and stopped as an engine's core can.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Self

# Before gRPC: it selects the TLS versions.
import duet_contract.transport  # noqa: F401

import prometheus_client  # isort: skip
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from duet_cloud import cli, service
from duet_cloud.engine import Job, Step
from duet_cloud.errors import EngineError

FIRST_TOKEN = 300
"""Below any template's tokens in no vocabulary of ours, and a word in all of them."""


class ScriptedCore:
    """`cat`: gives back every byte that it is given. It ends with its parent, as its input does."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._writer = writer
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._reading = asyncio.create_task(self._read(reader))

    @classmethod
    async def start(cls) -> Self:
        process, ours = cls._spawn()
        return cls(process, *await asyncio.open_connection(sock=ours))

    @staticmethod
    def _spawn() -> tuple[subprocess.Popen[bytes], socket.socket]:
        ours, its = socket.socketpair()
        with its:
            # Ctrl-C is the service's to hear.
            return subprocess.Popen(["cat"], stdin=its, stdout=its, start_new_session=True), ours

    async def step(self) -> None:
        """Returns when the core has answered.

        Raises:
            EngineError: it died.
        """
        if self._reading.done():
            raise EngineError("the engine died: scripted")
        answered = asyncio.get_running_loop().create_future()
        self._waiting.append(answered)
        self._writer.write(b"\n")
        await answered

    def end(self) -> None:
        self._reading.cancel()
        self._process.kill()
        self._process.wait()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(65536):
            for _ in data:
                answered = self._waiting.popleft()
                if not answered.done():
                    answered.set_result(None)
        for answered in self._waiting:
            if not answered.done():
                answered.set_exception(EngineError("the engine died: scripted"))


class CoreEngine:
    """Signals of `tokens` ids that count up from `FIRST_TOKEN`, one every `pause_s`."""

    max_context = 8192

    def __init__(self, core: ScriptedCore) -> None:
        self._core = core
        self._tokens = int(os.environ["SCRIPT_TOKENS"])
        self._pause_s = float(os.environ["SCRIPT_PAUSE_S"])
        self.max_sequences = int(os.environ.get("SCRIPT_SLOTS", "64"))
        self.timeout_s = float(os.environ.get("SCRIPT_TIMEOUT_S", "2"))

    async def generate(self, job: Job) -> AsyncGenerator[Step]:
        end = FIRST_TOKEN + self._tokens
        last = job.prompt_ids[-1]
        token = last + 1 if FIRST_TOKEN <= last < end else FIRST_TOKEN
        for count in range(1, job.budget + 1):
            await asyncio.sleep(self._pause_s)
            await self._core.step()
            if token == end:
                yield Step(ids=[], text="", finish="stop")
                return
            finish = "length" if count == job.budget else None
            yield Step(ids=[token], text=f"<{token}>", finish=finish)
            token += 1

    async def check(self) -> None:
        await self._core.step()

    def shutdown(self) -> None:
        self._core.end()


async def load(model: Path, arguments: dict[str, Any], max_context: int, name: str) -> CoreEngine:
    """In place of `duet_cloud.engine.load_in_background`."""
    await asyncio.sleep(float(os.environ.get("SCRIPT_START_S", "0")))
    return CoreEngine(await ScriptedCore.start())


def observe_nothing() -> None:
    """Takes the metrics away: what is counted and timed has no effect and no cost."""
    prometheus_client.Counter.inc = lambda self, amount=1, exemplar=None: None  # type: ignore[method-assign]
    prometheus_client.Histogram.observe = lambda self, amount, exemplar=None: None  # type: ignore[method-assign]
    for kind in (prometheus_client.Counter, prometheus_client.Histogram):
        kind.labels = lambda self, *values, **named: self  # type: ignore[method-assign]


def export_spans(endpoint: str) -> None:
    """Exports spans as vLLM's `--otlp-traces-endpoint` does (`vllm.tracing`)."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint, insecure=True)))
    trace.set_tracer_provider(provider)


if __name__ == "__main__":
    # As a shell that runs tests in the background has it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.environ.get("SCRIPT_UNOBSERVED"):
        observe_nothing()
    if endpoint := os.environ.get("SCRIPT_TRACES"):
        export_spans(endpoint)
    service.load_in_background = load  # type: ignore[assignment]
    sys.exit(cli.main())
