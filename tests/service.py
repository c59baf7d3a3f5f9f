"""Runs `duet-cloud serve` as a process for tests, on free loopback ports."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

from tests.doubles import loopback

# Until it listens: what vLLM imports is gigabytes, and they may have to come from the disk.
STARTS_S = 120.0
# What models say in bfloat16 differs from float32, which processors without bfloat16 serve in.
SERVE = [sys.executable, "-m", "duet_cloud", "serve", "--dtype", "float32"]
"""The command, with the same answers on every processor."""


@dataclass
class Service:
    """A running service."""

    process: subprocess.Popen[bytes]
    """Its process."""
    log: Path
    """File of everything that it printed."""
    events: list[dict[str, Any]] = field(default_factory=list)
    """Events of its log that were read."""

    @classmethod
    @contextmanager
    def started(cls, command: Sequence[str], log: Path) -> Iterator[Self]:
        """Starts `command` with free ports and a JSON log; kills what is left at the end."""
        extra = ["--port", "0", "--metrics-port", "0", "--log-format", "json"]
        with log.open("wb") as output:
            process = subprocess.Popen([*command, *extra], stdout=output, stderr=output)
        try:
            yield cls(process, log)
        finally:
            family = [process, *_children(process.pid)]
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                for member in family:
                    member.kill()

    def wait_event(self, name: str, timeout_s: float) -> dict[str, Any]:
        """The first log event of that name."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            for line in self.log.read_text("utf-8", "replace").splitlines():
                if line.startswith("{") and f'"{name}"' in line:
                    event: dict[str, Any] = json.loads(line)
                    if event["event"] == name:
                        return event
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise AssertionError(f"no {name!r} in the log:\n{self.log.read_text('utf-8', 'replace')}")

    def wait_ready(self, timeout_s: float) -> None:
        """Waits until the engine is loaded."""
        self.wait_event("ready", timeout_s)

    @property
    def address(self) -> str:
        """HOST:PORT of the gRPC service."""
        return str(self.wait_event("loading", STARTS_S)["address"])

    def metric(self, name: str) -> float:
        """Sum of a Prometheus metric over its labels."""
        found = self.samples(name)
        assert found, f"no metric {name}"
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    def samples(self, name: str) -> list[str]:
        """A Prometheus metric's lines, one for each set of labels."""
        port = self.wait_event("loading", STARTS_S)["metrics_port"]
        lines = _scrape(f"http://127.0.0.1:{port}/metrics")
        return [line for line in lines if line.split("{")[0].split(" ")[0] == name]

    def children(self) -> list[psutil.Process]:
        """Every process that it started."""
        return _children(self.process.pid)


def _scrape(url: str, tries: int = 5) -> list[str]:
    """Lines of a metrics page; like any scraper, tries again where a connection is reset."""
    for left in reversed(range(tries)):
        try:
            with loopback.client(timeout=10) as client:
                return client.get(url).raise_for_status().text.splitlines()
        except httpx.HTTPError:
            if not left:
                raise
            time.sleep(0.2)
    raise AssertionError("unreachable")


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
