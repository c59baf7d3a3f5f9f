"""`duet-bench demo`: the service as its own process, as on a GPU host, and one question to it."""

import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from rich.console import Console

from duet_contract.pairs import DEFAULT_PAIR
from duet_tools import options
from duet_tools.errors import BenchError
from duet_tools.progress import plain
from duet_tools.subjects.children import serves
from duet_tools.subjects.service import ServiceProcess
from duet_tools.subjects.subject import READY_S


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
    with ServiceProcess(Path(pair)) as service:
        _wait(service, pair, console)
        shown = plain(f"$ duet-device ask --show-signal {shlex.quote(question)}")
        console.print(shown, style="bold", soft_wrap=True)
        device = Path(sys.executable).with_name("duet-device")
        command = [str(device), "ask", "--show-signal"]
        command += ["--require-cloud", "--server", service.address, "--pair", pair]
        code = subprocess.run([*command, "--", question], check=False).returncode
    console.print("cloud service stopped")
    if code:
        console.print(plain(f"the service's log is {_stored(service)}"), soft_wrap=True)
    return code


def _wait(service: ServiceProcess, pair: str, console: Console) -> None:
    """Wait until the service answers; say how long it has taken meanwhile."""
    started = time.monotonic()
    with console.status("") as status:

        def ready() -> bool:
            seconds = time.monotonic() - started
            loading = f"starting the cloud service (vLLM loads {pair}) ... {seconds:.0f} s"
            status.update(plain(loading))
            return serves(service.address)

        try:
            service.wait_until(ready, READY_S)
        except BenchError as error:
            raise BenchError(f"the service did not start; its log is {_stored(service)}") from error
    seconds = time.monotonic() - started
    console.print(f"cloud service ready on {service.address} after {seconds:.0f} s")


def _stored(service: ServiceProcess) -> str:
    """Store the service's log under a name of its own: all users share the folder."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", prefix="duet-demo-", suffix=".log", delete=False
    ) as file:
        file.write(service.log())
    return file.name
