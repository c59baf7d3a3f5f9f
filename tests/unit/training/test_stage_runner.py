"""The stage runner: order, bounded parallelism, shared processes, failures and interrupts."""

import time
from dataclasses import dataclass
from threading import Barrier, Event

import pytest

from duet_training.errors import CommandError
from duet_training.experiments.stage_runner import MOST_TOGETHER, run_stages

TIMEOUT_S = 10


@dataclass(frozen=True)
class Part:
    """A stage without a command."""

    name: str
    """Name of the stage."""
    waits_for: tuple[str, ...] = ()
    """Stages that must be done first."""
    kind: str = "any"
    """Kind of the stage."""
    usual: float = 60.0
    """Expected minutes."""
    together: str | None = None
    """Group of stages that share one process; None: it has a process of its own."""


FORKED = [Part("first"), Part("one", ("first",)), Part("two", ("first",))]
LAST = Part("last", ("one", "two"))


def _nothing_done(_stage):
    return False


def test_stages_run_at_the_same_time_once_their_needs_are_done():
    both, ended, said = Barrier(2, timeout=TIMEOUT_S), [], []

    def run(stages, _alone):
        (stage,) = stages
        if stage.waits_for == ("first",):
            both.wait()  # neither ends without the other
        ended.append(stage.name)

    plan = [LAST, *FORKED]
    assert run_stages(plan, run, done=_nothing_done, jobs=2, say=said.append) == []
    assert [ended[0], {*ended[1:3]}, ended[3]] == ["first", {"one", "two"}, "last"]
    assert [line.split()[0] for line in said] == [f"[{n}/4]" for n in (1, 2, 3, 4)]
    assert "about 2:00 left in all" in said[0]


def test_no_more_stages_than_jobs_run_at_a_time():
    running, most = set(), []

    def run(stages, _alone):
        running.add(stages[0].name)
        most.append(len(running))
        time.sleep(0.01)
        running.discard(stages[0].name)

    run_stages([Part(str(n)) for n in range(8)], run, done=_nothing_done, jobs=2, say=str)
    assert max(most) == 2


def test_a_stage_is_alone_if_all_others_wait_for_it():
    both, found = Barrier(2, timeout=TIMEOUT_S), {}

    def run(stages, alone):
        (stage,) = stages
        if stage.waits_for == ("first",):
            both.wait()
        found[stage.name] = alone

    run_stages([*FORKED, LAST], run, done=_nothing_done, jobs=2, say=str)
    assert found == {"first": True, "one": False, "two": False, "last": True}


def test_ready_stages_of_a_kind_share_a_process():
    shared = [Part(f"shared-{n}", together="pair") for n in range(MOST_TOGETHER + 1)]
    batches = []
    plan = [shared[0], Part("own"), *shared[1:]]
    run_stages(plan, lambda stages, _: batches.append(stages), done=_nothing_done, say=str)
    assert [[stage.name for stage in batch] for batch in batches] == [
        [stage.name for stage in shared[:MOST_TOGETHER]],
        ["own"],
        [shared[-1].name],
    ]


def test_what_is_done_is_not_run_again_even_if_it_is_done_meanwhile():
    results, said = {"first"}, []

    def run(stages, _alone):
        results.update({stages[0].name, "two"})

    plan = [*FORKED, LAST]
    run_stages(plan, run, done=lambda stage: stage.name in results, say=said.append)
    assert [line.split()[:2] for line in said] == [["[1/3]", "one"], ["[2/3]", "last"]]


def test_after_a_failure_nothing_starts_and_what_runs_ends():
    failed, ended = Event(), []

    def run(stages, _alone):
        (stage,) = stages
        if stage.name == "bad":
            failed.set()
            raise CommandError("bad failed")
        assert failed.wait(TIMEOUT_S)
        time.sleep(0.3)  # until the failure has been seen
        ended.append(stage.name)

    plan = [Part(name) for name in ("bad", "good", "never")]
    with pytest.raises(CommandError, match="bad failed"):
        run_stages(plan, run, done=_nothing_done, jobs=2, say=str)
    assert ended == ["good"]


def test_an_interrupt_ends_what_runs():
    stopped, said = Event(), []

    def run(*_):
        assert stopped.wait(TIMEOUT_S)
        raise CommandError("ended")

    def say(line):
        if said:
            raise KeyboardInterrupt
        said.append(line)

    plan = [Part(name) for name in ("one", "two")]
    with pytest.raises(KeyboardInterrupt):
        run_stages(plan, run, done=_nothing_done, jobs=2, interrupt=stopped.set, say=say)
    assert stopped.is_set()


def test_no_stage_starts_when_the_time_is_up():
    ran = []
    left = run_stages(FORKED, lambda *_: ran.append(1), done=_nothing_done, until=0.0)
    assert (left, ran) == (FORKED, [])
