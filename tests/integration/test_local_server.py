"""`duet-device serve` and `ask` as processes, with a real decoder and a scripted cloud."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from duet_device.serve.files import SOCKET_NAME
from tests.doubles.cloud import ScriptedCloud, done_text, says, text

READY_S = 60


class Device:
    """The commands of one device, with a home of its own."""

    def __init__(self, home: Path, pair: Path, cloud: str) -> None:
        self.home = home
        self.options = ["--server", cloud, "--pair", str(pair), "--allow-unsigned"]

    def command(self, *arguments: str) -> tuple[list[str], dict[str, str]]:
        command = [sys.executable, "-m", "duet_device", *arguments, *self.options]
        return command, {**os.environ, "DUET_HOME": str(self.home)}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command, environment = self.command(*arguments)
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        command, environment = self.command(*arguments)
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    @contextmanager
    def serving(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        with self.started("serve", "--socket-only", *options) as process:
            assert process.stderr
            for line in process.stderr:
                if "ready:" in line:
                    break
            else:
                pytest.fail("the server did not start")
            yield process

    def receipt(self, *options: str) -> dict[str, Any]:
        fixed = ("--temperature", "0", "--seed", "7")
        result = self.run("ask", "why?", "--json", "--quiet", *fixed, *options)
        assert result.returncode == 0, result.stderr
        receipt: dict[str, Any] = json.loads(result.stdout)
        return {**receipt, "ms": None, "request_id": None}


@pytest.fixture
def cloud() -> Iterator[ScriptedCloud]:
    with ScriptedCloud(says(text("12 + "), text("30"), done_text(5))) as cloud:
        yield cloud


@pytest.fixture
def device(tmp_path: Path, thinking_pair: Path, cloud: ScriptedCloud) -> Device:
    return Device(tmp_path / "home", thinking_pair, cloud.address)


def appears(path: Path, *, wanted: bool) -> bool:
    until = time.monotonic() + READY_S
    while path.exists() is not wanted and time.monotonic() < until:
        time.sleep(0.05)
    return path.exists() is wanted


@pytest.mark.parametrize("options", [(), ("--device-only",)])
def test_a_receipt_is_the_same_through_a_server(device: Device, options: Sequence[str]) -> None:
    without = device.receipt(*options)
    with device.serving() as server:
        before = psutil.Process(server.pid).cpu_times()
        assert device.receipt(*options) == without
        assert psutil.Process(server.pid).cpu_times() != before
        # What a question left in the decoder changes nothing for the next.
        assert device.receipt(*options) == without
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    assert not (device.home / SOCKET_NAME).exists()


def test_an_interrupt_of_ask_stops_the_clouds_work(device: Device, cloud: ScriptedCloud) -> None:
    over = threading.Event()

    def script(_: object, context: Any) -> Any:
        context.add_callback(over.set)
        yield text("12")
        over.wait(60)

    cloud.script = script
    with device.serving() as server, device.started("ask", "why?", "--show-signal") as ask:
        assert cloud.asked.wait(60)
        assert ask.stderr
        assert "--allow-unsigned" in ask.stderr.readline()
        assert ask.stderr.read(2) == "12"
        ask.send_signal(signal.SIGINT)
        assert ask.wait(60) == 130
        assert cloud.ended.wait(60)
        assert server.poll() is None


def test_one_server_at_a_time_and_none_after_a_kill(device: Device) -> None:
    with device.serving() as server:
        second = device.run("serve", "--socket-only")
        assert second.returncode == 2
        # The first line is of --allow-unsigned.
        assert second.stderr.count("\n") == 2
        assert str(server.pid) in second.stderr
        server.kill()
        server.wait()
    assert (device.home / SOCKET_NAME).exists()
    left = device.run("ask", "why?", "--quiet")
    assert left.returncode == 0
    # An answer of random weights may be marked; of the dead server there is no word.
    said = [line for line in left.stderr.splitlines() if "low confidence" not in line]
    assert len(said) == 1, left.stderr
    assert "--allow-unsigned" in said[0]
    with device.serving():
        device.receipt()


def test_a_server_ends_when_it_is_idle(device: Device) -> None:
    with device.serving("--idle", "0.3") as server:
        assert server.wait(60) == 0
    assert not (device.home / SOCKET_NAME).exists()


def test_ask_leaves_a_server_that_lingers(device: Device, cloud: ScriptedCloud) -> None:
    first = device.receipt("--linger", "3")
    socket = device.home / SOCKET_NAME
    assert appears(socket, wanted=True)
    assert device.receipt() == first
    assert appears(socket, wanted=False)
