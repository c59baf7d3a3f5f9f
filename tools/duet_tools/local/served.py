"""The device's commands, its local server and a program, each with one pair and one cloud."""

import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar, Unpack

import httpx
import psutil

from duet_contract.json_data import parse_json
from duet_contract.receipt import Receipt
from duet_device import Client
from duet_device.setting_types import QuestionSettings
from duet_tools.errors import BenchError
from duet_tools.subjects.children import Child

_Found = TypeVar("_Found")
_READY_S = 120.0
_RECEIPT = '"duet":'


class Run(NamedTuple):
    """What one command, request or call took."""

    wall_ms: float
    """Wall time in milliseconds."""
    cpu_ms: float
    """Processor time in milliseconds, of the process that does the work."""
    receipt: Receipt | None = None
    """What was answered; None for a command that answers nothing."""

    @property
    def first_answer_s(self) -> float:
        """Seconds from the start to the first answer token."""
        assert self.receipt
        moments = self.receipt.ms
        return (moments.total if moments.first_answer is None else moments.first_answer) / 1e3

    @property
    def cloud_and_decoder_ms(self) -> float:
        """Milliseconds of signal and decoding: from the ready connection to the last answer token."""
        assert self.receipt
        return self.receipt.ms.total - (self.receipt.ms.connect or 0.0)

    @property
    def tokens_per_s(self) -> float:
        """Answer tokens a second of wall time."""
        assert self.receipt
        return self.receipt.tokens.answer / self.wall_ms * 1e3


class DeviceCommands:
    """The commands of a device.

    Args:
        program: what starts `duet-device`.
        home: its DUET_HOME.
        pair: directory of the pair.
        cloud: HOST:PORT.
        threads: of the decoder.
    """

    def __init__(
        self, program: Sequence[str], home: Path, pair: Path, cloud: str, threads: int
    ) -> None:
        self._program = program
        self._home = home
        # Installed packages have bytecode, which a developer's checkout may not keep.
        self._environment = {"DUET_HOME": str(home), "PYTHONDONTWRITEBYTECODE": ""}
        self._options = ["--server", cloud, "--pair", str(pair), "--threads", str(threads)]
        self._options.append("--allow-unsigned")

    def ask(self, question: str, *options: str) -> Run:
        """Ask a question in a process of its own.

        Raises:
            BenchError: the command failed.
        """
        run, output = self._run("ask", "--json", question, *options, *self._options)
        return run._replace(receipt=_receipt(parse_json(output)))

    def help(self) -> Run:
        """Show the help, which is what any command costs at least."""
        return self._run("--help")[0]

    @contextmanager
    def serving(self, *options: str) -> Iterator["LocalServer"]:
        """Serve until the end of the block; `ask` uses the server meanwhile."""
        command = [*self._program, "serve", "--port", "0", *options, *self._options]
        with Child("duet-device serve", command, self._environment) as child:
            child.wait_until(lambda: "ready:" in child.log(), _READY_S)
            port = int(child.log().partition("API: http://127.0.0.1:")[2].partition("/")[0])
            key = (self._home / "serve.token").read_text().strip()
            with LocalServer(child.process.pid, port, key) as server:
                yield server

    def _run(self, *arguments: str) -> tuple[Run, str]:
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            [*self._program, *arguments],
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
            check=False,
        )
        took = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            # The lines before the error are notes.
            error = "".join(done.stderr.strip().splitlines()[-1:])
            raise BenchError(f"duet-device {arguments[0]} failed: {error}")
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Run(took * 1e3, cpu * 1e3), done.stdout


class LocalServer:
    """A running local server, and a client of its API that keeps its connection."""

    def __init__(self, process: int, port: int, key: str) -> None:
        self._process = psutil.Process(process)
        # The clock of another process, as clock_getcpuclockid(3) names it.
        self._clock = (~process << 3) | 2
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}/v1",
            headers={"authorization": f"Bearer {key}"},
            trust_env=False,
            timeout=60,
        )
        self._model = self._client.get("/models").json()["data"][0]["id"]

    def __enter__(self) -> "LocalServer":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    @property
    def resident_bytes(self) -> int:
        """Bytes of the server's resident set."""
        return int(self._process.memory_info().rss)

    def ask(self, question: str, *, stream: bool = False, answer_tokens: int | None = None) -> Run:
        """Ask without the cloud, and read the whole response."""
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": question}],
            "max_completion_tokens": answer_tokens,
            "stream": stream,
            "duet": {"device_only": True},
        }

        def answered() -> str:
            with self._client.stream("POST", "/chat/completions", json=body) as response:
                response.raise_for_status()
                (data,) = (line for line in response.iter_lines() if _RECEIPT in line)
            return data

        run, data = _timed(self._clock, answered)
        return run._replace(receipt=_receipt(parse_json(data.removeprefix("data: "))["duet"]))


class ClientProgram:
    """A program that holds a client.

    Args:
        client: of the pair, its decoder loaded.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def ask(self, question: str, **settings: Unpack[QuestionSettings]) -> Run:
        """Ask a question. The processor time is that of the bench, the cloud's double included."""
        clock = time.CLOCK_PROCESS_CPUTIME_ID
        run, result = _timed(clock, lambda: self._client.ask(question, **settings))
        return run._replace(receipt=result.receipt)


def _timed(clock: int, work: Callable[[], _Found]) -> tuple[Run, _Found]:
    """Measure work, and what a processor spends on it by a process's clock; return its result."""
    spent, began = time.clock_gettime(clock), time.perf_counter()
    found = work()
    took = time.perf_counter() - began
    return Run(took * 1e3, (time.clock_gettime(clock) - spent) * 1e3), found


def _receipt(data: dict[str, object]) -> Receipt:
    """Return the receipt of a command's or an API's object, which has further fields."""
    fields = Receipt.model_fields
    return Receipt.model_validate({name: value for name, value in data.items() if name in fields})
