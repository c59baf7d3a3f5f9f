"""Closing a client or its channel at any moment leaves no thread and prints nothing."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import grpc
import psutil
import pytest
from grpc._channel import _Rendezvous as Call

from duet_contract.console import signals_go_to
from duet_contract.v1.inference_pb2 import ReasonRequest, ReasonResponse
from duet_device.client import Client
from duet_device.deadline import Deadline
from duet_device.errors import DeviceError, Interrupted
from duet_device.identity.channel import open_channel
from duet_device.link import Link
from duet_device.pairs.pair import Pair
from duet_device.servers import Server
from tests.doubles.cloud import ScriptedCloud, done, says, tokens
from tests.doubles.decoder import ScriptedDecoder
from tests.doubles.tcp import NOWHERE, serving

pytestmark = pytest.mark.slow

# Each question is stopped after a random time, in one of several ways. Its arguments: the seed, the
# directory of a pair, and addresses.
PROGRAM = """
import asyncio, itertools, random, sys, threading, time
from pathlib import Path
from duet_contract.manifest import load_manifest
from duet_device import AsyncClient, Client, DeviceError, Pair
from duet_device.identity.channel import open_channel
from tests.doubles.decoder import ScriptedDecoder

def follows(ids):
    time.sleep(0.002)
    return 65

def stream_closed(options, pause):
    with Client(**options) as client:
        end = time.monotonic() + pause
        try:
            for event in client.stream("why?"):
                if time.monotonic() > end:
                    break
        except DeviceError:
            pass

def client_closed(options, pause):
    client = Client(**options)
    timer = threading.Timer(pause, client.close)
    timer.start()
    try:
        client.ask("why?")
    except DeviceError:
        pass
    timer.join()
    client.close()

def channel_closed(options, pause):
    channel = open_channel(options["server"])
    timer = threading.Timer(pause, channel.close)
    timer.start()
    with Client(channel=channel, **options) as client:
        try:
            client.ask("why?")
        except DeviceError:
            pass
    timer.join()

def task_cancelled(options, pause):
    async def main():
        async with AsyncClient(**options) as client:
            task = asyncio.create_task(client.ask("why?"))
            await asyncio.sleep(pause)
            task.cancel()
            try:
                await task
            except (asyncio.CancelledError, DeviceError):
                pass
    asyncio.run(main())

random.seed(int(sys.argv[1]))
directory = Path(sys.argv[2])
pair = Pair(directory, load_manifest(directory))
ways = stream_closed, client_closed, channel_closed, task_cancelled
for address, way in itertools.product(sys.argv[3:], ways):
    for _ in range(8):
        options = {
            "pair": pair,
            "decoder": ScriptedDecoder(follows),
            "server": address,
            "connect_timeout": random.choice([0.05, 0.5]),
            "require_cloud": random.random() < 0.5,
        }
        began = time.monotonic()
        way(options, random.uniform(0, 0.1) ** 1.5)
        left = [each.name for each in threading.enumerate() if each is not threading.main_thread()]
        assert not left, (way.__name__, left)
        # Some wait for the whole answer, which takes 0.2 s.
        assert time.monotonic() - began < 60, way.__name__
"""


def drips(_: ReasonRequest, context: grpc.ServicerContext) -> Iterator[ReasonResponse]:
    while context.is_active():
        yield tokens(65)
        time.sleep(0.01)


def test_nothing_is_left_and_nothing_is_printed(pair: Pair) -> None:
    """Of clouds that answer, are slow, are not there, and accept and say nothing."""
    (pair.directory / "manifest.json").write_text(pair.manifest.to_json())
    with (
        ScriptedCloud(says(tokens(65), done(1))) as cloud,
        ScriptedCloud(drips) as slow,
        serving(lambda connection: connection.recv(1 << 20)) as silent,
    ):
        addresses = [cloud.address, slow.address, NOWHERE, silent]
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM, "0", str(pair.directory), *addresses],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_signal_that_arrives_within_grpc_leaves_no_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its handler raises; within gRPC that would leave a lock locked, and threads that wait for it."""
    cancel = Call.cancel

    def interrupted(call: Call) -> bool:
        if threading.current_thread() is threading.main_thread():
            signal.raise_signal(signal.SIGTERM)
        return cancel(call)

    def stop(*_: object) -> None:
        raise Interrupted("interrupted")

    monkeypatch.setattr(Call, "cancel", interrupted)
    with ScriptedCloud(drips) as cloud, signals_go_to(stop, signal.SIGTERM):
        server = Server(cloud.address, partial(open_channel, cloud.address))
        link = Link([server], ReasonRequest(question="why?"), Deadline(60), 5.0)
        link.next()
        with pytest.raises(Interrupted):
            link.cancel()
        assert "duet-link" not in [thread.name for thread in threading.enumerate()]
        server.close()


class Garbage(grpc.GenericRpcHandler):
    """Sends one unreadable message, and leaves the call open."""

    def service(self, _: object) -> "grpc.RpcMethodHandler[Any, Any]":
        def serve(_: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            yield b"\xff\xff\xff"
            while context.is_active():
                time.sleep(0.01)

        return grpc.unary_stream_rpc_method_handler(serve)


@contextmanager
def garbage() -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(4), handlers=[Garbage()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


def test_calls_that_end_early_are_freed_with_their_sockets(
    pair: Pair, decoder: ScriptedDecoder
) -> None:
    """Cancelled by the device, or with an unreadable message."""
    process = psutil.Process()

    def ask(client: Client) -> None:
        with pytest.raises(DeviceError):
            client.ask("why?", timeout=0.05, require_cloud=True)

    with ScriptedCloud(drips) as slow, garbage() as broken:
        for address in (slow.address, broken):
            with Client(pair, decoder=decoder, server=address) as client:  # type: ignore[arg-type]
                ask(client)
            before = process.num_fds()
            for _ in range(10):
                with Client(pair, decoder=decoder, server=address) as client:  # type: ignore[arg-type]
                    ask(client)
            assert process.num_fds() < before + 10
