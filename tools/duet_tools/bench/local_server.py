"""What a local server saves `duet-device ask`, and what its API costs a request.

The cloud replays a signal at once, so that what is left is the device's own. Every repeat asks all
subjects in turns: ratios and differences are of neighbours. Times are also given as processor time,
which other programs on the machine hardly change; questions of the API are then answered without
the cloud, whose double runs in this process.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import httpx

from duet_contract.commands import Integer
from duet_device import Client
from duet_tools import options
from duet_tools.bench.replay import Recording, ReplayServer
from duet_tools.bench.stats import differences, in_turns, ratios, summarise
from duet_tools.errors import BenchError
from duet_tools.results.figures import Summary
from duet_tools.subjects.children import Child
from duet_tools.subjects.workload import Workload

_QUESTION = (
    "Kate had 57 plates. Later, Kate bought 12 more plates. Later, she collected 13 plates. "
    "How many plates does Kate have in the end?"
)
_SIGNAL = ("57 + 12 = 69. ", "69 + 13 = 82.")
# Faster than any reasoner: the signal costs nothing.
_PACE = 1e6
_READY_S = 120.0
MOST_ASK_MS, MOST_REQUEST_MS = 80.0, 3.0


@click.command(epilog=options.EXIT_CODES)
@options.pair("stories-5m")
@click.option(
    "--repeats", type=Integer(2, 1000), default=15, metavar="N", help="Number of repeats."
)
def local(pair: str, repeats: int) -> None:
    """Measure the device's local server: ask with and without it, its API."""
    workload = Workload.open(pair)
    chunks = tuple(tuple(workload.tokenizer.encode_text(text)) for text in _SIGNAL)
    with ReplayServer() as cloud, tempfile.TemporaryDirectory(prefix="duet-") as scratch:
        cloud.play(Recording(chunks), _PACE)
        homes = Path(scratch, "warm"), Path(scratch, "cold")
        start = ["--server", cloud.address, "--pair", str(workload.directory), "--allow-unsigned"]
        with (
            _serving(homes[0], start) as api,
            Client(workload.directory, server=cloud.address, allow_unsigned=True) as client,
        ):
            subjects: dict[str, Callable[[], float]] = {
                "program": lambda: _timed(lambda: client.ask(_QUESTION)),
                "request": lambda: _timed(lambda: api.ask(stream=False)),
                "warm": lambda: _timed(lambda: _run(homes[0], ["ask", _QUESTION, *start])),
                "cold": lambda: _timed(lambda: _run(homes[1], ["ask", _QUESTION, *start])),
                "program CPU": lambda: _cpu(
                    time.CLOCK_PROCESS_CPUTIME_ID, lambda: client.ask(_QUESTION, device_only=True)
                ),
                "request CPU": lambda: _cpu(api.clock, lambda: api.ask(stream=False, alone=True)),
                "stream CPU": lambda: _cpu(api.clock, lambda: api.ask(stream=True, alone=True)),
                "warm CPU": lambda: _child_cpu(homes[0], ["ask", _QUESTION, *start]),
                "cold CPU": lambda: _child_cpu(homes[1], ["ask", _QUESTION, *start]),
                "help CPU": lambda: _child_cpu(homes[1], ["--help"]),
            }
            took = in_turns(repeats, subjects)
    _report(took)


def _report(took: dict[str, list[float]]) -> None:
    def line(text: str, found: Summary, target: str = "") -> None:
        print(f"{text}: {found.median:.2f} ({found.min:.2f} to {found.max:.2f}){target}")

    def difference(one: str, other: str) -> Summary:
        return differences(took[one], took[other])

    line("ask, warm, beyond signal and decoding, ms", difference("warm", "program"),
         f"; to reach: at most {MOST_ASK_MS:.0f}")  # fmt: skip
    line("ask, warm, processor time, ms", summarise(took["warm CPU"]))
    line("  of it not in duet-device --help, ms", difference("warm CPU", "help CPU"))
    line("ask, cold over warm", ratios(took["cold"], took["warm"]))
    line("ask, cold over warm, processor time", ratios(took["cold CPU"], took["warm CPU"]))
    line("API, a request, ms", difference("request", "program"),
         f"; to reach: at most {MOST_REQUEST_MS:.0f}")  # fmt: skip
    line("API, a request, processor time, ms", difference("request CPU", "program CPU"))
    line("API, a stream over a program, processor time",
         ratios(took["stream CPU"], took["program CPU"]))  # fmt: skip


def _cpu(clock: int, work: Callable[[], object]) -> float:
    """Return the milliseconds of a processor that a process spends on some work."""
    began = time.clock_gettime(clock)
    work()
    return (time.clock_gettime(clock) - began) * 1e3


def _child_cpu(home: Path, arguments: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _run(home, arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


class _Api:
    def __init__(self, process: int, port: int, key: str, model: str) -> None:
        # The clock of another process, as clock_getcpuclockid(3) names it.
        self.clock = (~process << 3) | 2
        headers = {"authorization": f"Bearer {key}"}
        self._client = httpx.Client(trust_env=False, headers=headers, timeout=60)
        self._url = f"http://127.0.0.1:{port}/v1/chat/completions"
        self._body = {"model": model, "messages": [{"role": "user", "content": _QUESTION}]}

    def ask(self, *, stream: bool, alone: bool = False) -> None:
        """Ask, and read the whole response."""
        body = {**self._body, "stream": stream, "duet": {"device_only": alone}}
        self._client.post(self._url, json=body).raise_for_status()


def _run(home: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "duet_device", *arguments],
        env={**os.environ, "DUET_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"duet-device {arguments[0]} failed: {done.stderr.strip()}")


@contextmanager
def _serving(home: Path, start: list[str]) -> Iterator[_Api]:
    command = [sys.executable, "-m", "duet_device", "serve", "--port", "0", *start]
    with Child("duet-device serve", command, {"DUET_HOME": str(home)}) as server:
        server.wait_until(lambda: "ready:" in server.log(), _READY_S)
        port = int(server.log().partition("API: http://127.0.0.1:")[2].partition("/")[0])
        key = (home / "serve.token").read_text().strip()
        models = httpx.get(
            f"http://127.0.0.1:{port}/v1/models",
            headers={"authorization": f"Bearer {key}"},
            trust_env=False,
        )
        yield _Api(server.process.pid, port, key, models.json()["data"][0]["id"])
