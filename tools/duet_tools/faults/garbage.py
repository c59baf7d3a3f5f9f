"""Malformed input for a service: bytes, HTTP/2 frames, gRPC messages, resets."""

import asyncio
import contextlib
import random
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast

import grpc

from duet_contract.channels import open_aio_channel
from duet_contract.v1 import control_pb2, inference_pb2, pairs_pb2
from duet_contract.v1.inference_pb2 import ReasonRequest, SignalEncoding
from duet_tools.faults.devices import QUESTION, Device
from duet_tools.faults.services import Service
from duet_tools.faults.trials import Setting, Trials, Unheld, row
from duet_tools.link.relay import Relay, reset_when_closed
from duet_tools.subjects.asking import run
from duet_tools.subjects.service import Script

if TYPE_CHECKING:
    # Generic in grpc's stubs alone.
    _Calling = grpc.aio.UnaryStreamMultiCallable[bytes, bytes]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# A server that closes does so at once; one that waits for more is left.
_READ_S = 0.02
_BATCH = 250
_AT_ONCE = 16
_CALL_S = 5.0
# What the allocator keeps differs by some MiB between runs.
_FLAT_MIB = 16.0

_METHODS = [
    f"/{service.full_name}/{method.name}"
    for file in (inference_pb2, control_pb2, pairs_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
] + ["/duet.v1.InferenceService/Nothing", "/grpc.health.v1.Health/Check", "/a/b", "/"]


def frame(draws: random.Random, payload: bytes, *, true_length: bool) -> bytes:
    """Return an HTTP/2 frame of random type, flags and stream (RFC 9113, section 4.1)."""
    length = len(payload) if true_length else draws.randrange(1 << 24)
    kind, flags = draws.randrange(12), draws.randrange(256)
    stream = draws.choice([0, 1, 1, 2, 3, draws.randrange(1 << 31)])
    return length.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def mutated(draws: random.Random, data: bytes) -> bytes:
    """Return `data` with bytes changed, removed, repeated, or cut off."""
    changed = bytearray(data)
    for _ in range(draws.randint(1, 12)):
        if not changed:
            break
        at = draws.randrange(len(changed))
        kind = draws.randrange(4)
        if kind == 0:
            changed[at] = draws.randrange(256)
        elif kind == 1:
            del changed[at : at + draws.randint(1, 16)]
        elif kind == 2:
            changed[at:at] = changed[max(0, at - draws.randint(1, 64)) : at]
        else:
            del changed[at:]
    return bytes(changed)


def _request(draws: random.Random) -> bytes:
    """Return a request, whole or not, sensible or not."""
    if draws.random() < 0.1:
        return draws.randbytes(draws.randrange(400))
    request = ReasonRequest(
        question=draws.choice(
            [
                "",
                QUESTION,
                "x" * draws.randrange(60_000),
                "\x00\x1b[2J\x07",
                "</think><|user|>" * 9,
                "🙂" * 40,
            ]
        ),
        encodings=cast(
            "list[SignalEncoding.ValueType]",
            [draws.randrange(-3, 6) for _ in range(draws.randrange(6))],
        ),
        vocabulary=draws.randbytes(draws.choice([0, 1, 31, 32, 33, 4000])),
        request_id=draws.choice(["", "same", "\n\x1b[31m", "i" * 5000]),
        pair=draws.choice(["", "stories-5m", "nothing@1.0.0", "../../etc", "\x1b]0;a\x07" * 30]),
    )
    if draws.random() < 0.3:
        request.signal_prefix.tokens.ids.extend(
            draws.choice([0, 300, 2047, 2048, 2**32 - 1]) for _ in range(draws.randrange(200))
        )
    elif draws.random() < 0.3:
        request.signal_prefix.text = draws.choice(["", "3 and 4", "</think>", "x" * 5000, "\x00"])
    if draws.random() < 0.7:
        request.budget = draws.choice([0, 1, 4, 2**32 - 1, draws.randrange(2**32)])
    if draws.random() < 0.5:
        request.temperature = draws.choice([0.0, -1.0, 1e38, float("nan"), float("inf"), 1e-30])
    if draws.random() < 0.5:
        request.seed = draws.choice([0, 2**64 - 1, draws.randrange(2**64)])
    data = request.SerializeToString()
    return data if draws.random() < 0.6 else mutated(draws, data)


def _raw(draws: random.Random, recorded: bytes) -> Iterator[bytes]:
    """Yield what one connection sends."""
    kind = draws.randrange(4)
    if kind == 0:
        yield draws.randbytes(draws.randint(1, 4096))
        return
    if kind == 1:
        yield mutated(draws, recorded)
        return
    yield _PREFACE
    if kind == 2:
        yield frame(draws, b"", true_length=True)
    for _ in range(draws.randint(1, 30)):
        yield frame(draws, draws.randbytes(draws.randrange(64)), true_length=draws.random() < 0.9)


def _send_raw(address: str, draws: random.Random, recorded: bytes) -> None:
    host, port = address.rsplit(":", 1)
    with (
        contextlib.suppress(OSError),
        socket.create_connection((host, int(port)), timeout=_CALL_S) as connection,
    ):
        for part in _raw(draws, recorded):
            connection.sendall(part)
        connection.settimeout(_READ_S)
        with contextlib.suppress(TimeoutError):
            while connection.recv(1 << 16):
                pass
        if draws.random() < 0.5:
            reset_when_closed(connection)


async def _send_calls(address: str, draws: random.Random, count: int) -> None:
    """Make malformed calls; each ends with a status, or is cancelled."""
    limit = asyncio.Semaphore(_AT_ONCE)

    async def call(channel: grpc.aio.Channel) -> None:
        async with limit:
            method = draws.choice(_METHODS[:1] * len(_METHODS) + _METHODS)
            data, cancel = _request(draws), draws.random() < 0.2
            calling: _Calling = channel.unary_stream(method)
            stream = calling(data, timeout=_CALL_S)
            try:
                async for _ in stream:
                    if cancel:
                        stream.cancel()
            except (grpc.aio.AioRpcError, asyncio.CancelledError):
                return

    async with open_aio_channel(address) as channel:
        await asyncio.gather(*(call(channel) for _ in range(count)))


def _record(address: str, device: Device) -> bytes:
    """Return what a device sends on its connection for one question."""
    sent = bytearray()

    class Recording(Relay):
        def _forward(
            self, source: socket.socket, sink: socket.socket, way: str, data: bytes
        ) -> None:
            if way == "up":
                sent.extend(data)
            super()._forward(source, sink, way, data)

    with Recording(address) as relay:
        device.ask(relay.address, budget=8).check_split()
    return bytes(sent)


@row(
    "malformed requests",
    "random bytes, HTTP/2 frames, mutated connections, malformed and cancelled calls, resets",
    "no crash, no traceback, the next question is answered; memory and descriptors are flat",
)
def _service(setting: Setting, trials: Trials) -> None:
    draws = setting.draws
    with Service(setting, script=Script(pause_s=0.0)) as service, Device(setting) as device:
        recorded = _record(service.address, device)

        def raw() -> None:
            for _ in range(batch):
                _send_raw(service.address, draws, recorded)

        def calls() -> None:
            run(_send_calls(service.address, draws, batch))

        batch = setting.count(_BATCH, 40)
        rounds = setting.count(20, 1)
        # Whatever is loaded or allocated once is there after these.
        raw()
        calls()
        before = service.held()
        for _ in range(rounds):
            for send in (raw, calls):
                counted(trials, batch, send, service, device)
        after = service.held()
        with trials.trial():
            check_flat(after.memory_mib - before.memory_mib)
            if after.handles > before.handles + _AT_ONCE:
                raise Unheld("file descriptors stay open")
        trials.figures["growth, MiB"] = after.memory_mib - before.memory_mib
        trials.figures["log, bytes a trial"] = len(service.log()) / trials.count


def counted(
    trials: Trials, count: int, send: Callable[[], None], service: Service, device: Device
) -> None:
    """Count `count` trials, which hold if the service is sound after them and answers."""
    probe = Trials()
    with probe.trial():
        send()
        service.check_sound()
        device.ask(service.address, budget=8).check_split()
    trials.held += count * probe.held
    for what in probe.otherwise:
        trials.otherwise[what] += count


def check_flat(growth_mib: float, most_mib: float = _FLAT_MIB) -> None:
    """Check that memory grew by no more than allocators keep, `most_mib`.

    Raises:
        Unheld: it grew.
    """
    if growth_mib > most_mib:
        raise Unheld("memory grows")


ROWS = (_service,)
