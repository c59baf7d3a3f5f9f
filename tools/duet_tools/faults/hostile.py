"""A hostile cloud: what a device makes of any message, status, or bytes."""

import contextlib
import itertools
import os
import pty
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import grpc
import psutil
from hyperframe.frame import GoAwayFrame, SettingsFrame

from duet_contract.v1.inference_pb2 import ReasonResponse, SignalChunk, SignalEnd, TokenIds
from duet_tools.faults.devices import QUESTION, SPLIT, UNREACHED, Asked, Device
from duet_tools.faults.garbage import check_flat, frame, mutated
from duet_tools.faults.homes import Home
from duet_tools.faults.trials import Setting, Trials, Unheld, row
from duet_tools.subjects.loopback import LoopbackServer

# What a terminal would obey, or show as something else.
_ESCAPES = (
    "\x1b[2J\x1b[31mred\x07",
    "\x9b2J",
    "\x1b]0;title\x07",
    "\r\x1b[K$ rm",
    "\u202eevil",
    "\x00",
)
# NO_ERROR, ENHANCE_YOUR_CALM, HTTP_1_1_REQUIRED (RFC 9113, section 7), what Apache's server sends.
_GOAWAY_CODES = (0, 11, 13, 70_007, 2**32 - 1)
_TIMEOUT_S = 1.0
_LATE_S = 2.0
_DRIP_S = 0.05
_MOST_MESSAGE = 3 << 20
# Several devices and the hostile cloud itself are in this process.
_FLAT_MIB = 64.0
# Of 64 tokens with 16 bytes each at most, and the question.
_CONTEXT = 1280
# `model`: the cloud may say that it serves another pair.
_DEFINED = UNREACHED | {SPLIT, "error: refused", "error: model"}


def _text(draws: random.Random) -> str:
    return draws.choice(
        [
            *_ESCAPES,
            "3 and 4",
            "",
            "x" * draws.randrange(200_000),
            "</think>",
            "<|end|>" * 50,
            "é\u0301" * 400,
        ]
    )


def _ids(draws: random.Random) -> list[int]:
    most = draws.choice([300, 2047, 2048, 2**31, 2**32 - 1])
    return [draws.randint(0, most) for _ in range(draws.choice([0, 1, 5, 20, 70, 5000]))]


def _chunk(draws: random.Random) -> ReasonResponse:
    if draws.random() < 0.6:
        return ReasonResponse(chunk=SignalChunk(tokens=TokenIds(ids=_ids(draws))))
    return ReasonResponse(chunk=SignalChunk(text=_text(draws)))


def _end(draws: random.Random) -> ReasonResponse:
    times = [0.0, 1.0, -1.0, float("nan"), float("inf"), 3e38]
    return ReasonResponse(
        end=SignalEnd(
            finish_reason=draws.randrange(-1, 5),  # type: ignore[arg-type]
            encoding=draws.randrange(-1, 5),  # type: ignore[arg-type]
            signal_tokens=draws.choice([0, 1, 5, 20, 2**32 - 1]),
            prompt_tokens=draws.choice([0, 30, 2**32 - 1]),
            queue_ms=draws.choice(times),
            prefill_ms=draws.choice(times),
            decode_ms=draws.choice(times),
            pair=_text(draws)[:1000],
            request_id=_text(draws)[:1000],
        )
    )


def messages(draws: random.Random) -> Iterator[bytes]:
    """Yield messages of one hostile stream, serialized."""
    kind = draws.randrange(8)
    if kind == 0:
        # Dripping without end; the caller ends it.
        for _ in itertools.count():
            yield ReasonResponse(chunk=SignalChunk(tokens=TokenIds(ids=[300]))).SerializeToString()
    elif kind == 1:
        yield draws.randbytes(draws.randrange(300))
    elif kind == 2:
        yield ReasonResponse(chunk=SignalChunk(text="x" * _MOST_MESSAGE)).SerializeToString()
    else:
        for _ in range(draws.randrange(5)):
            data = _chunk(draws).SerializeToString()
            yield mutated(draws, data) if draws.random() < 0.2 else data
        if draws.random() < 0.8:
            yield _end(draws).SerializeToString()
        if draws.random() < 0.2:
            yield _chunk(draws).SerializeToString()


class _Cloud(LoopbackServer, grpc.GenericRpcHandler):
    """Serves streams of `messages` under every name, and ends some with a status."""

    def __init__(self, draws: random.Random) -> None:
        super().__init__(32)
        self._draws = draws
        self._lock = threading.Lock()
        self.server.add_generic_rpc_handlers((self,))

    def service(self, _: Any) -> "grpc.RpcMethodHandler[Any, Any]":
        """See grpc.GenericRpcHandler."""
        with self._lock:
            draws = random.Random(self._draws.random())

        def serve(_: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            for count, data in enumerate(messages(draws)):
                if not context.is_active():
                    return
                yield data
                if count > 6 and _ended(context):
                    return
            if draws.random() < 0.4:
                code = draws.choice([each for each in grpc.StatusCode if each.value[0]])
                trailer = ("grpc-status-details-bin", draws.randbytes(draws.randrange(200)))
                with contextlib.suppress(ValueError):
                    context.set_trailing_metadata((trailer,))
                details = _text(draws)[:4000].replace("\x00", "")
                context.set_code(code)
                context.set_details(details)

        return grpc.unary_stream_rpc_method_handler(serve)


def _ended(context: grpc.ServicerContext) -> bool:
    """Wait a moment between two messages; return whether the call is over."""
    over = threading.Event()
    if not context.add_callback(over.set):
        return True
    return over.wait(_DRIP_S)


@contextlib.contextmanager
def _bytes_server(draws: random.Random) -> Iterator[str]:
    """A server that answers each connection with random bytes or HTTP/2 frames; its address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(0.2)
                    connection.recv(1 << 16)
                    if draws.random() < 0.3:
                        connection.sendall(draws.randbytes(draws.randrange(1, 4000)))
                        continue
                    connection.sendall(SettingsFrame(0).serialize())
                    if draws.random() < 0.5:
                        # A connection that the device counts as ready ends another way.
                        time.sleep(_DRIP_S)
                        code, text = draws.choice(_GOAWAY_CODES), draws.choice(_ESCAPES).encode()
                        goaway = GoAwayFrame(0, error_code=code, additional_data=text)
                        connection.sendall(goaway.serialize())
                    for _ in range(draws.randrange(20)):
                        payload = draws.randbytes(draws.randrange(64))
                        connection.sendall(frame(draws, payload, true_length=True))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@row(
    "hostile cloud",
    "random, malformed and endless signals, statuses and bytes towards a device",
    "an answer or a defined error in time; memory flat, nothing unescaped on the terminal",
    "none",
)
def _hostile(setting: Setting, trials: Trials) -> None:
    process = psutil.Process()
    with (
        ExitStack() as stack,
        _Cloud(setting.draws) as cloud,
        _bytes_server(random.Random(setting.draws.random())) as raw,
    ):
        devices = [stack.enter_context(Device(setting)) for _ in range(setting.count(8, 2))]

        def ask(device: Device, count: int) -> list[Asked]:
            return [device.ask(cloud.address, timeout=_TIMEOUT_S, budget=64) for _ in range(count)]

        def ask_all(count: int) -> list[Asked]:
            with ThreadPoolExecutor(len(devices)) as pool:
                found = pool.map(ask, devices, [count // len(devices)] * len(devices))
                return [each for asked in found for each in asked]

        # Whatever is loaded or allocated once is there after these, the context of the longest signal
        # included: once a block as large as a context's is freed, glibc keeps freed blocks of up to
        # that size for each arena (its dynamic M_MMAP_THRESHOLD), 70 MiB here for contexts of 4.
        for device in devices:
            device.reserve(_CONTEXT)
        ask_all(setting.count(160, 20))
        before = process.memory_info().rss
        for asked in ask_all(setting.count(10_000, 20)):
            with trials.trial():
                _check(asked)
        growth = (process.memory_info().rss - before) / 2**20
        trials.figures["growth, MiB"] = growth
        with trials.trial():
            check_flat(growth, _FLAT_MIB)
        # By command: bytes can end a process.
        for number in range(setting.count(60, 4)):
            with trials.trial():
                _ask_on_terminal(setting, raw if number % 2 == 0 else cloud.address)


def _check(asked: Asked) -> None:
    if asked.outcome not in _DEFINED:
        raise Unheld(asked.outcome)
    if asked.seconds > _TIMEOUT_S + _LATE_S:
        raise Unheld("ended after its deadline")


def _ask_on_terminal(setting: Setting, address: str) -> None:
    """Ask by command on a terminal; see what reaches it."""
    home = Home(setting.scratch / "terminal")
    ours, its = pty.openpty()
    arguments = ["ask", "--show-signal", "--verbose", "--pair", str(setting.workload.directory)]
    arguments += ["--allow-unsigned", "--timeout", "3", "--server", address, QUESTION]
    process = subprocess.Popen(
        [sys.executable, "-m", "duet_device", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=its,
        stderr=its,
        env={**os.environ, **home.environment, "NO_COLOR": "1", "TERM": "dumb"},
    )
    os.close(its)
    shown = bytearray()
    with contextlib.suppress(OSError):  # The terminal's end, on Linux.
        while data := os.read(ours, 1 << 16):
            shown += data
    os.close(ours)
    code = process.wait(30)
    text = shown.decode("utf-8", "replace").replace("\r\n", "\n")
    if "Traceback" in text:
        raise Unheld("a traceback")
    if code < 0:
        raise Unheld(f"the device's process ends by {signal.Signals(-code).name}")
    if code not in (0, 3, 4, 5, 6):
        raise Unheld(f"exit code {code}")
    # Tabs stay, as `duet_contract.terminal.printable` says.
    if found := [char for char in text if not (char.isprintable() or char in "\n\t")]:
        raise Unheld(f"an unescaped U+{ord(found[0]):04X} on the terminal")


ROWS = (_hostile,)
