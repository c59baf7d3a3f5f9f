"""`duet-cloud serve` from ready to its end, as a process; its engine is scripted."""

import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import grpc
import pytest

from duet_contract.channels import open_channel
from duet_contract.v1.inference_pb2 import ReasonRequest
from duet_contract.v1.inference_pb2_grpc import InferenceServiceStub
from tests.service import Service

PROGRAM = '''
import asyncio, subprocess, sys
from pathlib import Path
from duet_cloud import cli, logs, service
from tests.doubles.engine import ScriptedEngine

how, *options = sys.argv[1:]
gate = Path(how.removeprefix("until ")) if how.startswith("until ") else None

class Engine(ScriptedEngine):
    async def generate(self, job):
        async for step in super().generate(job):
            yield step
            while gate and not gate.exists():
                await asyncio.sleep(0.01)

    def shutdown(self):
        logs.get().info("engine ended", running=self.running)

# Ignores the signal to terminate.
CHILD = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""

def start():
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE)
    child.stdout.readline()
    logs.get().info("engine started")
    child.wait()

loaded = 0

async def load(*_):
    global loaded
    if how == "loads" or (how == "loads again" and loaded):
        await asyncio.to_thread(start)
    engine = Engine(pause_s=60 if how == "hangs" else 0.02, max_sequences=1)
    if how in ("dies", "loads again") and not loaded:
        asyncio.get_running_loop().call_later(1, engine.crash)
    loaded += 1
    return engine

service.load_in_background = load
sys.exit(cli.main(["serve", *options]))
'''


@pytest.fixture
def serving(toy_pair, tmp_path):
    def start(how, *options):
        command = [sys.executable, "-c", PROGRAM, how, "--pair", str(toy_pair), *options]
        return Service.started(command, tmp_path / "log")

    return start


def _events(service):
    lines = service.log.read_text("utf-8").splitlines()
    return [json.loads(line)["event"] for line in lines if line.startswith("{")]


def _settles(service, name, value):
    until = time.monotonic() + 60
    while service.metric(name) != value:
        assert time.monotonic() < until
        time.sleep(0.01)


@contextmanager
def _in_flight(service):
    """A question that the engine works on."""
    with open_channel(service.address) as channel:
        call = InferenceServiceStub(channel).Reason(ReasonRequest(question="one"))
        _settles(service, "duet_requests_running", 1)
        yield call


def test_what_is_in_flight_is_finished_before_the_engine_ends(serving, tmp_path):
    gate = tmp_path / "gate"
    with serving(f"until {gate}") as service, open_channel(service.address) as channel:
        service.wait_ready(60)
        stub = InferenceServiceStub(channel)
        running = stub.Reason(ReasonRequest(question="one", budget=40))
        next(running)
        waiting = stub.Reason(ReasonRequest(question="two", budget=40))
        _settles(service, "duet_requests_waiting", 1)
        service.process.send_signal(signal.SIGTERM)
        service.wait_event("draining", 60)
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.Reason(ReasonRequest(question="late")))
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        gate.touch()
        for call in (running, waiting):
            *_, last = call
            assert last.end.signal_tokens == 40
        assert service.process.wait(60) == 0
        events = _events(service)
    assert events.count("reasoned") == 3
    assert events[-2:] == ["engine ended", "stopped"]


def test_what_outlasts_the_grace_period_is_cut_off(serving):
    with serving("hangs", "--grace-s", "0.5") as service:
        service.wait_ready(60)
        with _in_flight(service) as call:
            service.process.send_signal(signal.SIGTERM)
            with pytest.raises(grpc.RpcError):
                list(call)
        assert service.process.wait(60) == 0
        assert service.wait_event("engine ended", 60)["running"] == 0
        assert "grace period over" in _events(service)


def test_an_engine_that_dies_ends_the_service(serving):
    with serving("dies") as service:
        assert service.process.wait(60) == 6
        assert "duet-cloud: the engine died" in service.log.read_text("utf-8")
        assert _events(service)[-2:] == ["engine ended", "stopped"]


def test_an_engine_that_dies_is_loaded_again(serving):
    with serving("dies", "--engine-failure", "restart") as service:
        service.wait_ready(60)
        with open_channel(service.address) as channel:
            stub = InferenceServiceStub(channel)
            service.wait_event("ready again", 60)
            *_, last = stub.Reason(ReasonRequest(question="one"))
            assert last.end.signal_tokens == 10
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(60) == 0
        events = _events(service)
    assert events.count("engine ended") == 2
    assert (
        events.index("engine failed") < events.index("engine ended") < events.index("ready again")
    )


def test_signals_while_an_engine_is_loaded_again(serving):
    """The second one ends all at once, as when it is loaded first."""
    with serving("loads again", "--engine-failure", "restart") as service:
        service.wait_event("engine started", 60)
        (child,) = service.children()
        service.process.send_signal(signal.SIGTERM)
        service.wait_event("stopping", 60)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(60) == 0
        assert not child.is_running()


def test_a_second_signal_while_an_engine_loads_ends_all_at_once(serving):
    with serving("loads") as service:
        service.wait_event("engine started", 60)
        (child,) = service.children()
        service.process.send_signal(signal.SIGINT)
        assert service.wait_event("stopping", 60)["waiting_for"] == "toy@1.2.3 to be loaded"
        with pytest.raises(subprocess.TimeoutExpired):
            service.process.wait(1)
        service.process.send_signal(signal.SIGINT)
        assert service.process.wait(60) == 0
        assert not child.is_running()
        assert _events(service)[-2:] == ["stopping at once", "stopped"]


def test_a_second_signal_does_not_wait_for_what_is_in_flight(serving):
    with serving("hangs", "--grace-s", "600") as service:
        service.wait_ready(60)
        with _in_flight(service) as call:
            service.process.send_signal(signal.SIGTERM)
            assert service.wait_event("stopping", 60)["waiting_for"] == "questions in flight: 1"
            service.wait_event("draining", 60)
            service.process.send_signal(signal.SIGTERM)
            with pytest.raises(grpc.RpcError):
                list(call)
        assert service.process.wait(60) == 0
        assert service.wait_event("engine ended", 60)["running"] == 0
