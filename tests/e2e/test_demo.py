"""`make demo`'s command as a process: it serves a pair, asks, and leaves nothing behind."""

import os
import subprocess
import sys
import time
import uuid

import psutil
import pytest

from duet_contract.pairs import DEFAULT_PAIR
from tests.doubles.commands import cloud_pairs as pairs

pytestmark = pytest.mark.engine

QUESTION = "There are 14 adults and 19 children. They form rows of 11 people. How many rows?"


def _marked(mark):
    """Processes that were started with `mark` in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("DEMO_TEST") == mark:
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_it_shows_signal_answer_and_receipt_and_stops_the_service(tmp_path):
    mark = uuid.uuid4().hex
    assert pairs(["build", DEFAULT_PAIR, "--if-missing"]) == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "duet_tools", "demo", QUESTION],
        env={**os.environ, "DEMO_TEST": mark, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and len(_marked(mark)) < 2:
        time.sleep(0.2)
    assert len(_marked(mark)) > 1, "the search finds the service"
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert out.strip()
    lines = [line for line in err.splitlines() if line]
    places = [
        next(place for place, line in enumerate(lines) if wanted in line)
        for wanted in ("service ready", "duet-device ask", "large-model tokens", "service stopped")
    ]
    assert places == sorted(places)
    assert places[2] > places[1] + 1, "the signal is missing"
    assert not _marked(mark)
    assert not list(tmp_path.glob("duet-demo-*")), "the log of what went well is left"
