"""What a local server saves `duet-device ask`, and what its API costs a request.

The cloud replays a signal at once, so that what is left is the device's own. Every repeat asks all
subjects in turns: ratios and differences are of neighbours.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import httpx

from duet_device import AnswerText, Client
from duet_tools import options
from duet_tools.bench.replay import Recording, ReplayServer
from duet_tools.bench.stats import differences, ratios
from duet_tools.errors import BenchError
from duet_tools.subjects.workload import Workload

_QUESTION = (
    "Kate had 57 plates. Later, Kate bought 12 more plates. Later, she collected 13 plates. "
    "How many plates does Kate have in the end?"
)
_SIGNAL = ("57 + 12 = 69. ", "69 + 13 = 82.")
# Faster than any reasoner: the signal costs nothing.
_PACE = 1e6
_READY_S = 120.0
MOST_ASK_MS, MOST_REQUEST_MS, LEAST_SPEED = 80.0, 3.0, 0.99


@click.command(epilog=options.EXIT_CODES)
@options.pair("stories-5m")
@click.option(
    "--repeats", type=click.IntRange(2, 1000), default=15, metavar="N", help="Number of repeats."
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
                "help": lambda: _timed(lambda: _run(homes[1], ["--help"])),
                "program speed": lambda: _speed(client),
                "request speed": lambda: api.speed(),
            }
            took: dict[str, list[float]] = {name: [] for name in subjects}
            for repeat in range(repeats + 1):
                for name, measure in subjects.items():
                    value = measure()
                    # The first is to warm up.
                    if repeat:
                        took[name].append(value)
    _report(took)


def _report(took: dict[str, list[float]]) -> None:
    ask = differences(took["warm"], took["program"])
    print(f"ask, warm: {ask.median:.0f} ms beyond signal and decoding "
          f"({ask.min:.0f} to {ask.max:.0f}; to reach: {MOST_ASK_MS:.0f})")  # fmt: skip
    share = ratios(took["warm"], took["help"])
    print(f"ask, warm: {share.median:.2f} times duet-device --help ({share.min:.2f} to "
          f"{share.max:.2f})")  # fmt: skip
    saved = ratios(took["cold"], took["warm"])
    print(f"ask, cold: {saved.median:.1f} times as long as warm ({saved.min:.1f} to "
          f"{saved.max:.1f})")  # fmt: skip
    request = differences(took["request"], took["program"])
    print(f"API: {request.median:.1f} ms a request ({request.min:.1f} to {request.max:.1f}; "
          f"to reach: {MOST_REQUEST_MS:.0f})")  # fmt: skip
    speed = ratios(took["request speed"], took["program speed"])
    print(f"API: {speed.median:.3f} of the decode speed ({speed.min:.3f} to {speed.max:.3f}; "
          f"to reach: {LEAST_SPEED})")  # fmt: skip


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


def _speed(client: Client) -> float:
    """Return answer texts a second, from the first to the last."""
    times = [
        time.perf_counter() for event in client.stream(_QUESTION) if isinstance(event, AnswerText)
    ]
    return (len(times) - 1) / (times[-1] - times[0])


class _Api:
    def __init__(self, port: int, key: str, model: str) -> None:
        headers = {"authorization": f"Bearer {key}"}
        self._client = httpx.Client(trust_env=False, headers=headers, timeout=60)
        self._url = f"http://127.0.0.1:{port}/v1/chat/completions"
        self._body = {"model": model, "messages": [{"role": "user", "content": _QUESTION}]}

    def ask(self, *, stream: bool) -> None:
        """Ask, and read the whole response."""
        body = {**self._body, "stream": stream}
        self._client.post(self._url, json=body).raise_for_status()

    def speed(self) -> float:
        """Return answer texts a second, from the first to the last."""
        body = {**self._body, "stream": True}
        with self._client.stream("POST", self._url, json=body) as response:
            times = [
                time.perf_counter()
                for line in response.iter_lines()
                if '"delta":{"content":"' in line and '"content":""' not in line
            ]
        return (len(times) - 1) / (times[-1] - times[0])


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
    process = subprocess.Popen(
        [sys.executable, "-m", "duet_device", "serve", "--port", "0", *start],
        env={**os.environ, "DUET_HOME": str(home)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr
        port = 0
        for line in process.stderr:
            if "API: http" in line:
                port = int(line.split("127.0.0.1:")[1].split("/")[0])
            if "ready:" in line:
                break
        else:
            raise BenchError("duet-device serve did not start")
        key = (home / "serve.token").read_text().strip()
        models = httpx.get(
            f"http://127.0.0.1:{port}/v1/models",
            headers={"authorization": f"Bearer {key}"},
            trust_env=False,
        )
        yield _Api(port, key, json.loads(models.text)["data"][0]["id"])
    finally:
        process.terminate()
        process.wait(_READY_S)
