"""Subprocesses of the commands that build the released pair: their failures, their limits, their end."""

import os
import signal
import sys
import threading
import time

import psutil
import pytest

from duet_training.commands.program import PROGRAM
from duet_training.errors import CommandError, CommandTimeout
from duet_training.experiments.processes import Processes
from tests.doubles.bench import ScriptedBench
from tests.doubles.commands import run_as


def _python(code):
    return [sys.executable, "-S", "-c", code]


def test_a_failure_is_the_last_line_that_was_said(tmp_path):
    with pytest.raises(CommandError, match=r"it failed: no such thing \(see "):
        Processes().run(
            "it", _python("import sys; sys.exit('no such thing')"), tmp_path / "logs" / "it.log"
        )


def test_no_such_program_is_one_line(tmp_path):
    with pytest.raises(CommandError, match="cannot start /no/python: No such file"):
        Processes().run("it", ["/no/python"], tmp_path / "it.log")


def test_what_takes_too_long_is_ended(tmp_path):
    began = time.monotonic()
    with pytest.raises(CommandTimeout, match=r"took more than 0.1 s"):
        Processes().run(
            "it", _python("import time; time.sleep(600)"), tmp_path / "it.log", limit_s=0.1
        )
    assert time.monotonic() - began < 120


@pytest.mark.parametrize("deaf", [False, True])
def test_interrupted_it_leaves_no_process(tmp_path, deaf):
    """Asked to end, it gets the time to end its own; deaf, all that it started is killed."""
    # Of other tests: multiprocessing keeps a process of its own until the end.
    before = set(psutil.Process().children())
    bench = ScriptedBench(tmp_path / "bench", {1: {"hang": True, "deaf": deaf}})
    command = [
        *(sys.executable, "-S", str(bench.script), "--out", str(tmp_path / "out")),
        *("--limit", "1"),
    ]

    def interrupt():
        while not (bench.directory / "hangs").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt).start()
    patience = 0.3 if deaf else 20.0
    code = run_as(PROGRAM, lambda: Processes(patience).run("it", command, tmp_path / "it.log"))
    assert code == 130
    assert (bench.directory / "ended").exists() is not deaf
    assert _ended(int((bench.directory / "child").read_text()))
    assert set(psutil.Process().children()) <= before


def _ended(process):
    """An orphan may wait for whoever adopts it to see that it ended."""
    for _ in range(500):
        try:
            if psutil.Process(process).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False
