"""`duet-bench demo`: the service as its own process, as on a GPU host, and one question to it."""

import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console

from duet_contract.pairs import DEFAULT_PAIR
from duet_tools import options
from duet_tools.errors import BenchError
from duet_tools.progress import plain
from duet_tools.subjects.children import free_port, serves

READY_WITHIN_S = 600
STOPPED_WITHIN_S = 60


@click.command()
@options.pair(DEFAULT_PAIR)
@click.argument("question")
def demo(pair: str, question: str) -> int:
    """Serve a pair on this machine, ask QUESTION, and stop the service.

    The service's log is a file that is named if anything fails. Ends with the exit code of the
    question.
    """
    return _ask(pair, question)


def _ask(pair: str, question: str) -> int:
    console = Console(stderr=True, highlight=False)
    with _service(pair, console) as (address, log):
        shown = plain(f"$ duet-device ask --show-signal {shlex.quote(question)}")
        console.print(shown, style="bold", soft_wrap=True)
        device = Path(sys.executable).with_name("duet-device")
        command = [str(device), "ask", "--show-signal"]
        command += ["--require-cloud", "--server", address, "--pair", pair]
        code = subprocess.run([*command, "--", question], check=False).returncode
    if code:
        console.print(plain(f"the service's log is {log}"), soft_wrap=True)
    else:
        log.unlink()
    return code


@contextmanager
def _service(pair: str, console: Console) -> Iterator[tuple[str, Path]]:
    """The cloud service on a free loopback port, ready; yields HOST:PORT and its log."""
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "duet_cloud", "serve", "--pair", pair]
    command += ["--port", address.rsplit(":", 1)[1]]
    # Under a name of its own: all users share the folder, and another demo may be running.
    with tempfile.NamedTemporaryFile(prefix="duet-demo-", suffix=".log", delete=False) as output:
        log = Path(output.name)
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        started = time.monotonic()
        with console.status("") as status:
            while not serves(address):
                seconds = time.monotonic() - started
                if process.poll() is not None or seconds > READY_WITHIN_S:
                    raise BenchError(f"the service did not start; its log is {log}")
                loading = f"starting the cloud service (vLLM loads {pair}) ... {seconds:.0f} s"
                status.update(plain(loading))
                time.sleep(0.5)
        seconds = time.monotonic() - started
        console.print(f"cloud service ready on {address} after {seconds:.0f} s")
        yield address, log
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
        console.print("cloud service stopped")
