"""Bytes on the wire a signal token, against the OpenAI server's server-sent events.

Counted by a TCP proxy, so everything below gRPC and HTTP is in: prefaces, settings, headers,
frames, acknowledgements, goodbyes. The count of a cold connection includes its opening and closing;
that of a reused one does not.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, TypeVar

import grpc
import httpx

from duet_contract.v1.inference_pb2 import (
    SIGNAL_ENCODING_TEXT,
    SIGNAL_ENCODING_TOKEN_IDS,
    ReasonRequest,
    SignalEncoding,
)
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from duet_device.identity.channel import open_channel
from duet_device.link import FRAME_BYTES
from duet_device.question import build_request
from duet_device.settings import Settings
from duet_tools.bench.bench import Bench
from duet_tools.bench.stats import compared, summarise
from duet_tools.errors import BenchError
from duet_tools.link.relay import Count, Relay, settled
from duet_tools.results.figures import Figure, Target
from duet_tools.subjects.openai_server import signal_tokens
from duet_tools.subjects.workload import question

_Asked = TypeVar("_Asked")
SIGNAL_TOKENS = 256
TARGETS = {
    "ids": Target(comparison="at most", value=4.0),
    "text": Target(comparison="at most", value=7.0),
}
_ENCODINGS = {"ids": SIGNAL_ENCODING_TOKEN_IDS, "text": SIGNAL_ENCODING_TEXT}
_WORDS = {"ids": "token ids", "text": "text"}
_CONNECTIONS = {"cold": "cold", "kept": "reused"}


@dataclass(frozen=True)
class Passed:
    """Bytes of one signal."""

    tokens: int
    """Number of signal tokens."""
    wire: Count
    """Bytes of everything that TCP carried."""
    payload: Count
    """Bytes of the messages alone, in both directions."""

    @property
    def down_per_token(self) -> float:
        """Bytes on the wire a token, from the cloud to the device."""
        return self.wire.down / self.tokens


@dataclass(frozen=True)
class Pairing:
    """Two signals on one connection."""

    cold: Passed
    """The first signal."""
    kept: Passed
    """The second signal."""


def steps(bench: Bench) -> int:
    """Return measurements that `measure` takes."""
    return 3 * bench.repeats


def measure(bench: Bench) -> Iterator[Figure]:
    """A figure for each encoding and each kind of connection. Nothing here needs warming up."""
    service, openai = bench.service, bench.openai_server
    seen: dict[str, list[Pairing]] = {"ids": [], "text": [], "sse": []}
    for _ in range(bench.repeats):
        first, second = (question(number) for number in bench.fresh_numbers(2))
        for name, encoding in _ENCODINGS.items():
            requests = [_request(bench, text, encoding) for text in (first, second)]
            with Relay(f"127.0.0.1:{service.port}") as proxy:
                seen[name].append(_grpc(proxy, requests))
            bench.step(f"bytes, {name}")
        bodies = [
            openai.body(bench.workload.prompt_text(text), SIGNAL_TOKENS) for text in (first, second)
        ]
        with Relay(f"127.0.0.1:{openai.port}") as proxy:
            seen["sse"].append(_sse(proxy, bodies))
        bench.step("bytes, server-sent events")
    for name, target in TARGETS.items():
        for kind in _CONNECTIONS:
            mine = [getattr(each, kind) for each in seen[name]]
            theirs = [getattr(each, kind) for each in seen["sse"]]
            how = f"{_WORDS[name]}, {_CONNECTIONS[kind]} connection"
            yield _figure(
                f"{name}-{kind}",
                f"Bytes down the wire, {how}",
                "bytes/token",
                [each.down_per_token for each in mine],
                [each.down_per_token for each in theirs],
                target=target,
                details={**_details("subject", mine), **_details("peer", theirs)},
            )
            # The question and its request, whatever the signal's length.
            yield _figure(
                f"{name}-{kind}-up",
                f"Bytes up the wire a question, {how}",
                "bytes",
                [float(each.wire.up) for each in mine],
                [float(each.wire.up) for each in theirs],
            )


def _figure(
    id_: str, title: str, unit: str, mine: Sequence[float], theirs: Sequence[float], **more: Any
) -> Figure:
    subject, peer = ("DUET service", mine), ("vLLM OpenAI server", theirs)
    judged = {"judged": summarise(mine), "judged_unit": unit}
    return compared(f"bytes.{id_}", title, unit, subject, peer, **judged, **more, warm_ups=0)


def _details(who: str, passed: Sequence[Passed]) -> dict[str, float]:
    values: dict[str, list[float]] = {
        "signal tokens": [each.tokens for each in passed],
        "bytes up": [each.wire.up for each in passed],
        "bytes down": [each.wire.down for each in passed],
        "bytes both ways a token": [
            (each.wire.up + each.wire.down) / each.tokens for each in passed
        ],
        "payload bytes up": [each.payload.up for each in passed],
        "payload bytes down": [each.payload.down for each in passed],
        "payload bytes down a token": [each.payload.down / each.tokens for each in passed],
    }
    return {f"{name}, {who}": median(each) for name, each in values.items()}


def _request(bench: Bench, text: str, encoding: SignalEncoding.ValueType) -> ReasonRequest:
    """Return the request that the device itself would send."""
    settings = Settings(budget=SIGNAL_TOKENS, temperature=0.0)
    request = build_request(text, bench.workload.manifest, settings)
    del request.encodings[:]
    request.encodings.append(encoding)
    return request


def _grpc(proxy: Relay, requests: Sequence[ReasonRequest]) -> Pairing:
    channel = open_channel(proxy.address)
    return _paired(proxy, channel, partial(_ask, InferenceServiceStub(channel)), requests)


def _ask(stub: InferenceServiceStub, request: ReasonRequest) -> tuple[int, Count]:
    tokens, down = 0, 0
    try:
        for response in stub.Reason(request, timeout=300):
            down += response.ByteSize() + FRAME_BYTES
            if response.HasField("end"):
                tokens = response.end.signal_tokens
    except grpc.RpcError as error:
        raise BenchError(f"the service failed: {error}".splitlines()[0]) from error
    return tokens, Count(request.ByteSize() + FRAME_BYTES, down)


def _sse(proxy: Relay, bodies: Sequence[dict[str, object]]) -> Pairing:
    client = httpx.Client(base_url=f"http://{proxy.address}", timeout=300, trust_env=False)
    return _paired(proxy, client, partial(_post, client), bodies)


def _post(client: httpx.Client, body: dict[str, object]) -> tuple[int, Count]:
    request = client.build_request("POST", "/v1/completions", json=body)
    response = client.send(request, stream=True)
    data = b"".join(response.iter_raw())
    response.close()
    events = [line for line in data.decode().splitlines() if line.startswith("data: {")]
    return signal_tokens(events[-2], events[-1]), Count(len(request.content), len(data))


def _paired(
    proxy: Relay,
    connection: AbstractContextManager[object],
    ask: Callable[[_Asked], tuple[int, Count]],
    asked: Sequence[_Asked],
) -> Pairing:
    """Ask for two signals on a connection, each with its tokens and the bytes of its messages."""
    with connection:
        tokens, payload = ask(asked[0])
        opened = settled(lambda: proxy.count)
        kept_tokens, kept_payload = ask(asked[1])
        answered = settled(lambda: proxy.count)
    goodbye = settled(lambda: proxy.count) - answered
    whole = Count(opened.up + goodbye.up, opened.down + goodbye.down)
    kept = Passed(kept_tokens, answered - opened, kept_payload)
    return Pairing(cold=Passed(tokens, whole, payload), kept=kept)
