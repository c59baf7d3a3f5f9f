"""The model against the real service: what an engine is found to be, when the model is right."""

import json
import random
from pathlib import Path

import pytest

from duet_tools.fleet.check import CheckLoad, CheckReport, compare, replay
from duet_tools.fleet.costs import EngineCosts, Speed
from duet_tools.fleet.measured import (
    LOAD_S,
    MAX_RUNNING,
    TWO,
    EngineTimes,
    MeasuredLoad,
    TimedRequest,
    arrivals,
    engine_of,
    requests_of,
)

ENGINE = EngineCosts(speeds=(Speed(streams=1, tokens_per_s=50),), prefill_s=0.5)


def seen(slower: float = 1.0, refused: int = 0) -> list[TimedRequest]:
    """Twenty lone requests of 50 tokens, 1.5 s each by the model; some were refused at first."""
    asked = [
        TimedRequest(at=10.0 * number, tokens=50, first_s=0.52, total_s=1.5 * slower)
        for number in range(20)
    ]
    for each in asked[:refused]:
        each.refusals = 1
    return asked


def compared(asked: list[TimedRequest]) -> CheckLoad:
    return compare(MeasuredLoad("light", 0.1, asked, 1, ENGINE))


def test_a_model_that_is_right_is_found_to_be() -> None:
    load = compared(seen())
    assert load.asked == 20
    assert all(figure.met for figure in load.figures)
    times = [figure for figure in load.figures if figure.name.startswith("signal")]
    assert [figure.off for figure in times] == pytest.approx([0.0] * 3, abs=1e-6)


@pytest.mark.parametrize(
    ("slower", "met"), [(1.14, True), (0.9, True), (1.2, False), (0.85, False)]
)
def test_every_time_is_to_be_within_15_percent(slower: float, met: bool) -> None:
    load = compared(seen(slower))
    times = [figure for figure in load.figures if figure.name.startswith("signal")]
    assert len(times) == 3
    assert [figure.met for figure in times] == [met] * 3


def test_few_refusals_are_not_judged_and_many_are() -> None:
    few, many = (compared(seen(refused=n)).figures[-1] for n in (1, 10))
    assert (few.measured, few.off, few.met) == (0.05, None, True)
    # The model refuses none of them.
    assert (many.measured, many.off, many.met) == (0.5, -1.0, False)


def test_an_engine_is_found_again_from_its_calibrations() -> None:
    """Steps of 20 ms alone and 40 ms among eight; a prompt takes 30 ms, asking 5."""
    steps = {1: [0.020, 0.020, 0.9], 2: [0.022], 4: [0.030], 8: [0.040] * 3}
    # Full for 12 s: 60 prompts of 30 ms, the rest steps among eight.
    tokens = int((12.0 - 60 * 0.030) / 0.040 * 8)
    found = engine_of([EngineTimes(steps, [0.055], 12.0, tokens, 60)] * 2)
    assert {each.streams: each.tokens_per_s for each in found.speeds} == pytest.approx(
        {1: 50, 2: 2 / 0.022, 4: 4 / 0.030, 8: 200}
    )
    assert found.prefill_s == pytest.approx(0.030, rel=0.01)
    assert found.overhead_s == pytest.approx(0.005, rel=0.05)


def test_what_is_committed_keeps_within_what_is_promised() -> None:
    file = Path(__file__).parents[3] / "tools/duet_tools/results/capacity_check.json"
    data = json.loads(file.read_text("utf-8"))
    assert data["within"] == 0.15
    assert len(data["loads"]) >= 3
    assert {len(load["figures"]) for load in data["loads"]} == {5}
    figures = [figure for load in data["loads"] for figure in load["figures"]]
    assert all(abs(figure["off"] or 0.0) <= 0.15 for figure in figures)
    assert data["met"] is True


def test_what_is_committed_of_the_overload_is_what_the_page_says() -> None:
    folder = Path(__file__).parents[3] / "tools/duet_tools/results"
    file = folder / "capacity_check_overload.json"
    report = CheckReport.model_validate_json(file.read_text("utf-8"))
    off = {
        load.name: {figure.name: figure.off or 0.0 for figure in load.figures}
        for load in report.loads
    }
    assert max(abs(off[TWO][name]) for name in off[TWO] if name.endswith(", s")) < 0.05
    assert abs(off[TWO]["refused at first, share"]) < 0.06
    assert (
        max(
            abs(each)
            for load in off.values()
            for name, each in load.items()
            if name.endswith(", s")
        )
        < 0.18
    )
    refused = report.loads[2].figures[-1]
    assert (round(refused.model, 2), round(refused.measured, 2)) == (0.32, 0.42)


@pytest.mark.parametrize("faster", [0.25, 1.0, 4.0])
def test_the_overload_is_refused_some_and_the_other_loads_are_not(faster: float) -> None:
    speeds = {1: 12.9, 2: 24.3, 4: 42.2, 8: 67.9}
    engine = EngineCosts(
        speeds=tuple(Speed(streams=n, tokens_per_s=faster * speed) for n, speed in speeds.items()),
        prefill_s=0.23 / faster,
    )
    capacity = 1 / (engine.prefill_s + 56 * engine.step_s(MAX_RUNNING) / MAX_RUNNING)
    shares = []
    for number, count in enumerate(requests_of(capacity).values()):
        sent = arrivals(count, random.Random(number))
        assert len(sent) == count
        assert sent == sorted(sent, key=lambda each: each[0])
        assert all(0 <= at <= LOAD_S for at, _ in sent)
        model = replay([TimedRequest(at=at, tokens=budget) for at, budget in sent], engine)
        shares.append(model.refused / count)
    light, heavy, overload = shares
    assert (light, heavy) == (0, 0)
    assert overload > 0.1


@pytest.mark.parametrize("faster", [0.25, 1.0, 4.0])
def test_two_replicas_carry_twice_as_much_in_the_model(faster: float) -> None:
    engine = EngineCosts(speeds=(Speed(streams=1, tokens_per_s=50 * faster),), prefill_s=0.0)
    ((name, count),) = requests_of(50 * faster / 56, 2).items()
    assert name == "overload, two replicas"
    sent = arrivals(count, random.Random(0))
    asked = [TimedRequest(at=at, tokens=budget) for at, budget in sent]
    one, two = (replay(asked, engine, replicas) for replicas in (1, 2))
    assert 0 < two.refused < one.refused
    assert two.tokens_per_s > 1.5 * one.tokens_per_s
