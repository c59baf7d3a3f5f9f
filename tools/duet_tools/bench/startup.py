"""From the start of `duet-device ask` to its request at a server, files cached."""

import queue
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from duet_tools.bench.bench import Bench
from duet_tools.bench.replay import ReplayServer
from duet_tools.bench.stats import in_turns, summarise
from duet_tools.errors import BenchError
from duet_tools.results.figures import Figure, Series, Target
from duet_tools.subjects.workload import question

TARGET = Target(comparison="at most", value=0.5)
_WAIT_S = 60.0


def steps(bench: Bench) -> int:
    """Return measurements that `measure` takes."""
    return bench.repeats + 1


def measure(bench: Bench) -> Iterator[Figure]:
    """One figure; the warm-up brings the files into the page cache."""
    with ReplayServer() as server:
        once = partial(_request_after_s, server, str(bench.workload.directory))
        took = in_turns(bench.repeats, {"start to request": once}, bench.step)
    values = summarise(took["start to request"])
    yield Figure(
        id="startup.request",
        title="Process start to request on the wire",
        unit="s",
        subject=Series(name="duet-device ask", summary=values),
        judged=values,
        judged_unit="s",
        target=TARGET,
    )


def _request_after_s(server: ReplayServer, pair: str) -> float:
    program = Path(sys.executable).with_name("duet-device")
    command = [str(program)] if program.exists() else [sys.executable, "-m", "duet_device.cli"]
    options = ["--server", server.address, "--pair", pair, "--require-cloud", "--quiet"]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "ask", question(0), *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        asked = server.asked_at(_WAIT_S)
        process.communicate(timeout=_WAIT_S)
    except queue.Empty:
        process.kill()
        said = process.communicate()[1].decode("utf-8", "replace").strip().splitlines()
        raise BenchError(
            f"duet-device never asked: {said[-1] if said else 'it said nothing'}"
        ) from None
    finally:
        process.kill()
        process.wait()
    return asked - began
