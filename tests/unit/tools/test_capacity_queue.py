"""The simulated replica against queues whose answers are known."""

import math

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from duet_tools.fleet.costs import Costs, DeviceCosts, EngineCosts, Speed
from duet_tools.fleet.patterns import Pattern
from duet_tools.fleet.replica import Job, Replica
from duet_tools.fleet.simulation import Fleet, Setup, SimulatedRun
from duet_tools.link.profiles import link_named

MANY = 1_000_000


def exponential(mean: float) -> tuple[float, ...]:
    """A sample that is as good as the distribution: its quantiles."""
    return tuple(1 + -(mean - 1) * math.log(1 - (i + 0.5) / 20_000) for i in range(20_000))


def engine(servers: int, tokens_per_s: float) -> EngineCosts:
    """As many streams as servers, each as fast as if it were alone."""
    return EngineCosts(
        speeds=tuple(Speed(streams=n, tokens_per_s=n * tokens_per_s) for n in range(1, servers + 1))
    )


def run(
    speed: EngineCosts,
    tokens: tuple[float, ...],
    per_s: float,
    seconds: float,
    max_running: int,
    max_waiting: int = MANY,
    retries: int = 0,
) -> SimulatedRun:
    costs = Costs(
        engine=speed,
        device=DeviceCosts(first_answer_s=0, answer_tokens_per_s=1),
        signal_tokens=tokens,
        answer_tokens=(1.0,),
    )
    setup = Setup(
        costs=costs,
        link=link_named("none"),
        pattern=Pattern(per_hour=3600 * per_s),
        devices=1,
        replicas=1,
        max_running=max_running,
        max_waiting=max_waiting,
        duration_s=seconds,
        warm_up_s=seconds / 20,
        timeout_s=None,
        retries=retries,
    )
    return Fleet(setup, "split", 7).run()


def erlang_b(servers: int, load: float) -> float:
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = load * blocked / (n + load * blocked)
    return blocked


def erlang_c(servers: int, load: float) -> float:
    blocked = erlang_b(servers, load)
    return blocked / (1 - load / servers * (1 - blocked))


@pytest.mark.parametrize(("servers", "use"), [(1, 0.6), (4, 0.75), (16, 0.85)])
def test_waits_are_those_of_erlang_c(servers: int, use: float) -> None:
    mean, tokens_per_s = 101.0, 101.0  # a service of one second
    per_s = use * servers
    seen = run(engine(servers, tokens_per_s), exponential(mean), per_s, 30_000 / per_s, servers)
    # By the load that this sample happened to have: the wait depends on it steeply.
    load = seen.running
    assert load == pytest.approx(per_s, rel=0.03)
    wait = sum(seen.reason) / len(seen.reason) - load / (seen.asked / seen.seconds)
    assert wait == pytest.approx(erlang_c(servers, load) / (servers - load), rel=0.15)


@pytest.mark.parametrize(("servers", "load"), [(1, 0.5), (4, 4.0), (10, 8.0)])
def test_refusals_are_those_of_erlang_b(servers: int, load: float) -> None:
    tokens = (50.0, 150.0)  # Erlang B holds for any service of that mean
    seen = run(engine(servers, 100.0), tokens, load, 30_000 / load, servers, max_waiting=0)
    assert seen.refused / seen.asked == pytest.approx(erlang_b(servers, load), rel=0.06)
    assert seen.abandoned == seen.refused


@pytest.mark.parametrize("tokens", [(100.0,), (10.0, 190.0)])
def test_a_shared_engine_is_processor_sharing(tokens: tuple[float, ...]) -> None:
    # One engine of 100 tokens/s, however many share it: M/G/1-PS, insensitive to the work.
    shared = EngineCosts(
        speeds=(
            Speed(streams=1, tokens_per_s=100),
            Speed(streams=2, tokens_per_s=100),
            Speed(streams=3, tokens_per_s=100),
        )
    )
    seen = run(shared, tokens, 0.6, 20_000, 200)
    assert sum(seen.reason) / len(seen.reason) == pytest.approx(1 / (1 - 0.6), rel=0.08)


def test_littles_law_holds() -> None:
    seen = run(engine(8, 100.0), (20.0, 200.0), 5.0, 5000, 8)
    rate = len(seen.reason) / seen.seconds
    # All that are admitted run at once here but for those that wait.
    assert seen.running <= rate * sum(seen.reason) / len(seen.reason) * 1.02
    assert seen.running == pytest.approx(rate * 1.1, rel=0.03)


@given(
    st.lists(
        st.tuples(st.floats(0, 20), st.floats(1, 300), st.floats(0, 30)), min_size=1, max_size=40
    ),
    st.integers(1, 5),
    st.integers(0, 5),
    st.floats(0, 0.5),
)
def test_every_job_ends_once_and_places_are_never_exceeded(
    jobs: list[tuple[float, float, float]], running: int, waiting: int, prefill: float
) -> None:
    env = simpy.Environment()
    replica = Replica(
        env,
        EngineCosts(speeds=(Speed(streams=1, tokens_per_s=50),), prefill_s=prefill),
        running,
        waiting,
    )
    ends: list[Job] = []
    refused = 0

    def ended(job: Job, complete: bool) -> None:
        assert 0 <= replica.running <= running
        ends.append(job)

    def one(at: float, tokens: float, patience: float):  # type: ignore[no-untyped-def]
        nonlocal refused
        yield env.timeout(at)
        job = Job(tokens, 1.0, ended)
        wait = replica.submit(job)
        assert replica.running <= running
        assert len(replica._waiting) <= waiting
        if wait is not None:
            assert wait >= 0
            refused += 1
            return
        yield env.timeout(patience)
        replica.leave(job)

    for each in jobs:
        env.process(one(*each))
    env.run()
    assert len(ends) == len(set(map(id, ends))) == len(jobs) - refused
    assert (replica.running, len(replica._waiting)) == (0, 0)


def test_a_prompt_stops_the_others_for_its_time() -> None:
    env = simpy.Environment()
    replica = Replica(
        env, EngineCosts(speeds=(Speed(streams=1, tokens_per_s=10),), prefill_s=0.5), 4, 4
    )
    ends = []
    job = Job(10.0, 1.0, lambda job, complete: ends.append(env.now))
    replica.submit(job)
    env.run()
    assert ends == [pytest.approx(1.5)]
    assert job.first == pytest.approx(0.6)


def test_the_time_to_come_back_is_the_smoothed_holding_time() -> None:
    env = simpy.Environment()
    replica = Replica(env, EngineCosts(speeds=(Speed(streams=1, tokens_per_s=10),)), 1, 0)
    replica.submit(Job(60.0, 1.0, lambda *_: None))
    assert replica.submit(Job(1.0, 1.0, lambda *_: None)) == 1.0
    env.run()
    replica.submit(Job(60.0, 1.0, lambda *_: None))
    assert replica.submit(Job(1.0, 1.0, lambda *_: None)) == pytest.approx(1.0 + 0.2 * 5)


def test_a_refused_device_comes_back_once() -> None:
    patient = run(engine(1, 100.0), (100.0,), 1.0, 5000, 1, max_waiting=0, retries=1)
    hasty = run(engine(1, 100.0), (100.0,), 1.0, 5000, 1, max_waiting=0)
    assert hasty.abandoned == hasty.refused
    assert patient.abandoned < patient.refused
