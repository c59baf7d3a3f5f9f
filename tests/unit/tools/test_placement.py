"""Which cores processes run on."""

import os
import sys

import pytest

from duet_tools.subjects.children import Child
from duet_tools.subjects.placement import spread_out, staying_on

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs two cores and a scheduler that binds to them",
)

# A bound thread, as vLLM's workers are, next to an unbound one.
PROGRAM = """
import os, threading, time
first = min(os.sched_getaffinity(0))
def bound():
    os.sched_setaffinity(0, {first})
    print("bound", flush=True)
    time.sleep(60)
threading.Thread(target=bound, daemon=True).start()
time.sleep(60)
"""


def test_the_unbound_leave_the_cores_of_the_bound() -> None:
    every = os.sched_getaffinity(0)
    with Child("a worker", [sys.executable, "-c", PROGRAM], talks=True) as child:
        stdout = child.process.stdout
        assert stdout is not None
        assert stdout.readline() == b"bound\n"
        left = spread_out(child.process.pid)
        assert left == every - {min(every)}
        assert os.sched_getaffinity(child.process.pid) == left


def test_nothing_bound_means_nothing_moved() -> None:
    program = "import time; time.sleep(60)"
    with Child("a worker", [sys.executable, "-c", program]) as child:
        every = os.sched_getaffinity(0)
        assert spread_out(child.process.pid) == every
        assert os.sched_getaffinity(child.process.pid) == every


def test_the_caller_gets_its_cores_back() -> None:
    every = os.sched_getaffinity(0)
    with staying_on({min(every)}):
        assert os.sched_getaffinity(0) == {min(every)}
    assert os.sched_getaffinity(0) == every
