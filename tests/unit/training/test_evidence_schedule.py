"""Several stages at a time: their order, who is alone, failures and interrupts."""

import time
from threading import Barrier, Event

import pytest

from duet_training.experiments.runner import StageError
from duet_training.experiments.schedule import Schedule
from duet_training.experiments.stage import Stage


def test_stages_run_beside_each_other_once_what_they_need_is_there():
    first = Stage("first", "data", ())
    pair = [Stage(name, "train", (), ("first",)) for name in ("one", "two")]
    last = Stage("last", "evaluate", ("pair=a",), ("one",), ("two",))
    together, ended = Barrier(2, timeout=10), []

    def do(stages, _):
        (stage,) = stages
        if stage.kind == "train":
            together.wait()  # neither ends without the other
        ended.append(stage.name)
        return 1.0

    said = []
    schedule = Schedule([first, *pair, last], 2, do, lambda: None)
    schedule.run(1e18, said.append)
    assert schedule.left == []
    assert ended[0] == "first"
    assert set(ended[1:3]) == {"one", "two"}
    assert ended[3] == "last"
    assert [line.split()[0] for line in said] == [f"[{n}/4]" for n in (1, 2, 3, 4)]


def test_a_stage_is_alone_if_all_others_wait_for_it():
    first = Stage("first", "data", ())
    pair = [Stage(name, "train", (), ("first",)) for name in ("one", "two")]
    last = Stage("last", "evaluate", ("pair=a",), ("one", "two"))
    together, found = Barrier(2, timeout=10), {}

    def do(stages, alone):
        (stage,) = stages
        if stage.kind == "train":
            together.wait()
        found[stage.name] = alone
        return 1.0

    Schedule([first, *pair, last], 2, do, lambda: None).run(1e18, lambda _: None)
    assert found == {"first": True, "one": False, "two": False, "last": True}


def test_a_failure_begins_nothing_more_and_keeps_what_runs():
    failed, ended = Event(), []

    def do(stages, _):
        (stage,) = stages
        if stage.name == "bad":
            failed.set()
            raise StageError("bad failed")
        assert failed.wait(10)
        time.sleep(0.3)  # until the failure has been seen
        ended.append(stage.name)
        return 1.0

    stages = [Stage(name, "data", ()) for name in ("bad", "good", "never")]
    schedule = Schedule(stages, 2, do, lambda: None)
    with pytest.raises(StageError, match="bad failed"):
        schedule.run(1e18, lambda _: None)
    assert ended == ["good"]
    assert [stage.name for stage in schedule.left] == ["never"]


def test_an_interrupt_ends_what_runs():
    stopped = Event()

    def do(*_):
        assert stopped.wait(10)
        raise StageError("ended")

    def say(_):
        if said:
            raise KeyboardInterrupt
        said.append(1)

    said = []
    stages = [Stage(name, "data", ()) for name in ("one", "two")]
    with pytest.raises(KeyboardInterrupt):
        Schedule(stages, 2, do, stopped.set).run(1e18, say)
    assert stopped.is_set()
