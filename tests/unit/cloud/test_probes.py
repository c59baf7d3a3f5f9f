import asyncio
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from duet_cloud import probes, systemd
from duet_cloud.errors import ListenError
from duet_cloud.metrics import Metrics
from duet_cloud.options import ServeOptions
from duet_cloud.reasoner import PairReasoner
from duet_cloud.server import INFERENCE_NAME, CloudServer
from duet_contract.channels import open_aio_channel
from tests.doubles import loopback

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
async def server(toy_pair):
    options = ServeOptions(port=0, health_port=0, health_grpc_port=0)
    server = CloudServer(options, PairReasoner.load(toy_pair))
    await server.start()
    yield server
    await server.stop()


async def ask(server, path):
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=60) as client:
        answer = await client.get(f"http://127.0.0.1:{server.health_port}{path}")
        return answer.status_code, answer.text


async def test_alive_and_ready_over_http(server, engine):
    assert await ask(server, "/livez") == (200, "ok\n")
    code, text = await ask(server, "/readyz")
    assert (code, "the service is loading its model" in text) == (503, True)
    await server.open(engine)
    assert await ask(server, "/readyz?verbose") == (200, "ok\n")
    await server.drain()
    code, text = await ask(server, "/readyz")
    assert (code, "stopping" in text) == (503, True)
    assert (await ask(server, "/livez"))[0] == 200
    assert (await ask(server, "/metrics"))[0] == 404


async def test_health_over_grpc_without_a_certificate(server, engine):
    async with open_aio_channel(f"127.0.0.1:{server.health_grpc_port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        async def status():
            request = health_pb2.HealthCheckRequest(service=INFERENCE_NAME)
            return (await stub.Check(request)).status

        assert await status() == NOT_SERVING
        await server.open(engine)
        assert await status() == SERVING


async def test_a_loop_that_hangs_is_not_alive(server):
    assert (await ask(server, "/livez"))[0] == 200
    with ThreadPoolExecutor() as threads:
        # The loop hangs, however long the probe takes.
        assert threads.submit(_dies, server.health_port).result(60)
    assert (await ask(server, "/livez"))[0] == 200


def _dies(port):
    with loopback.client() as client:
        until = time.monotonic() + 50
        while time.monotonic() < until:
            if client.get(f"http://127.0.0.1:{port}/livez").status_code == 503:
                return True
            time.sleep(0.05)
    return False


def _break(port, data, pause_s):
    """A client that resets its connection."""
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.sendall(data)
        time.sleep(pause_s)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("endpoint", ["health", "metrics"])
async def test_broken_and_idle_connections_write_no_line(endpoint, capfd, monkeypatch):
    monkeypatch.setattr(probes, "_IDLE_S", 0.2)
    if endpoint == "health":
        other = probes.Probes(list)
        port = other.start("127.0.0.1", 0)
    else:
        port = Metrics().serve("127.0.0.1", 0)
    for data, pause_s in (
        (b"GET /liv", 0.05),
        (b"GET /livez HTTP/1.1\r\n\r\n", 0.0),
        (b"\xff\r\n", 0),
    ):
        for _ in range(5):
            await asyncio.to_thread(_break, port, data, pause_s)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await asyncio.wait_for(reader.read(), 60) == b""
    writer.close()
    assert capfd.readouterr().err == ""


async def test_a_port_in_use(server, toy_pair):
    other = ServeOptions(port=0, health_port=server.health_port)
    second = CloudServer(other, PairReasoner.load(toy_pair))
    with pytest.raises(ListenError, match="cannot serve health on 127.0.0.1"):
        await second.start()
    await second.stop()


@pytest.mark.parametrize("abstract", [False, True])
async def test_systemd_hears_that_the_loop_runs(tmp_path, monkeypatch, abstract):
    name = f"duet-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(f"\0{name}" if abstract else name)
        heard.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}" if abstract else name)
        systemd.notify("READY=1", "STATUS=serving")
        assert heard.recv(1000) == b"READY=1\nSTATUS=serving"
        monkeypatch.setenv("WATCHDOG_USEC", "100000")
        alive = asyncio.create_task(systemd.keep_alive())
        said = [await asyncio.to_thread(heard.recv, 1000) for _ in range(3)]
        alive.cancel()
        assert said == [b"WATCHDOG=1"] * 3


async def test_systemd_that_did_not_start_it_hears_nothing(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    systemd.notify("READY=1")
    await asyncio.wait_for(systemd.keep_alive(), 60)
