"""The figures of the local server, measured one after the other.

The cloud replays a signal, so that what is left is the device's own.
"""

import itertools
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from duet_device import Client
from duet_tools.bench.replay import Recording, ReplayServer
from duet_tools.local import asked, chat, memory
from duet_tools.local.served import ClientProgram, DeviceCommands
from duet_tools.results.figures import Figure
from duet_tools.subjects.workload import Workload

# Faster than any reasoner: the signal costs nothing.
_AT_ONCE = 1e6


def measure(
    workload: Workload, wanted: Collection[str], repeats: int, threads: int, python: Path
) -> Iterator[Figure]:
    """Measure the `wanted` of `duet_tools.local.command.FIGURES`; `python`: starts the commands."""
    signal = Recording(tuple(tuple(workload.tokenizer.encode_text(text)) for text in asked.SIGNAL))
    with ReplayServer() as cloud, tempfile.TemporaryDirectory(prefix="duet-") as scratch:
        homes = (Path(scratch, str(number)) for number in itertools.count())
        program = [*interpreter(python), "-m", "duet_device"]

        def device() -> DeviceCommands:
            return DeviceCommands(program, next(homes), workload.directory, cloud.address, threads)

        def client() -> Client:
            return Client(workload.pair, server=cloud.address, threads=threads)

        cloud.play(signal, _AT_ONCE)
        alone = device()
        if not {"ask", "api"}.isdisjoint(wanted):
            served = device()
            with served.serving() as server, client() as own:
                if "ask" in wanted:
                    yield from asked.ask(repeats, served, alone)
                if "api" in wanted:
                    yield from asked.api(repeats, server, ClientProgram(own))
        if "redact" in wanted:
            yield from asked.redact(repeats, device, alone, _spacy_model(python))
        if "memory" in wanted:
            yield from memory.measure(repeats, workload, device(), cloud.address, threads)
        if "chat" in wanted:
            cloud.play(signal, chat.TOKENS_PER_S)
            with client() as own:
                yield from chat.measure(repeats, own, workload.manifest)


def interpreter(python: Path) -> list[str]:
    """Return the command line of a Python with the packages of its own environment.

    `PYTHONPATH` names packages of the environment that runs the bench.
    """
    return [str(python)] if python == Path(sys.executable) else [str(python), "-E"]


def _spacy_model(python: Path) -> str | None:
    """Return the spaCy model that redaction finds in the device's environment; None without one."""
    program = "from duet_device.privacy.identifiers import spacy_model as it; print(it() or '')"
    command = [*interpreter(python), "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip() or None
