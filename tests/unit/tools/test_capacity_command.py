"""`duet-bench capacity`, the patterns, and what a simulated fleet has to obey."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from duet_tools.fleet.costs import Costs, DeviceCosts, EngineCosts, Speed
from duet_tools.fleet.patterns import KINDS, Pattern
from duet_tools.fleet.report import Capacity, FleetPrices, estimate, sampled, simulate
from duet_tools.fleet.simulation import Setup
from duet_tools.fleet.sizing import fewest_replicas
from duet_tools.link.profiles import link_named
from tests.doubles.commands import bench_capacity as main

COSTS = Costs(
    engine=EngineCosts(
        speeds=(Speed(streams=1, tokens_per_s=50), Speed(streams=8, tokens_per_s=240)),
        prefill_s=0.03,
    ),
    device=DeviceCosts(first_answer_s=0.05, answer_tokens_per_s=100),
    signal_tokens=(32.0, 64.0),
    answer_tokens=(11.0,),
)
SETUP = Setup(
    costs=COSTS,
    link=link_named("4g"),
    pattern=Pattern(per_hour=60),
    devices=60,
    replicas=1,
    max_running=8,
    max_waiting=8,
    duration_s=400,
    warm_up_s=40,
)


def outcome(setup: Setup, **options: object) -> Capacity:
    return simulate(
        setup, ["split", "alone"], FleetPrices(replica_hour=1), replications=2, **options
    )  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_figures_and_another_others() -> None:
    assert outcome(SETUP) == outcome(SETUP)
    assert outcome(SETUP) != outcome(SETUP, seed=1)


def test_the_split_takes_less_of_the_replica() -> None:
    split, alone = outcome(SETUP).outcomes
    assert split.running.mean < alone.running.mean
    assert split.answered.mean == pytest.approx(1, abs=0.05)


def test_more_devices_wait_longer_and_more_replicas_less() -> None:
    def p95(setup: Setup) -> float:
        latency = simulate(setup, ["split"], FleetPrices(), replications=2).outcomes[0].total
        assert latency
        return latency.p95.mean

    crowded = replace(SETUP, devices=240)
    assert p95(SETUP) < p95(crowded)
    assert p95(replace(crowded, replicas=4)) < p95(crowded)


def test_shares_add_up_under_overload() -> None:
    for each in outcome(replace(SETUP, devices=1000, timeout_s=3.0)).outcomes:
        total = each.answered.mean + each.abandoned.mean + each.timed_out.mean
        assert total == pytest.approx(1)
        assert each.refused.mean > 0
        assert each.timed_out.mean > 0
        assert each.running.mean <= SETUP.max_running


def test_the_device_s_own_part_has_to_end_in_time_too() -> None:
    # A signal of 32 tokens takes 0.7 s, of 64 tokens 1.3 s; an answer 0.15 s more.
    lone = replace(SETUP, devices=1, duration_s=36_000, warm_up_s=0, timeout_s=1.4)
    split = outcome(lone).outcomes[0]
    assert split.total
    assert split.total.p99.mean < 1.4
    assert 0.2 < split.timed_out.mean < 0.8
    assert split.answered.mean + split.timed_out.mean == pytest.approx(1)


def test_the_link_is_in_the_latency() -> None:
    def first(link: str) -> float:
        setup = replace(SETUP, devices=1, link=link_named(link))
        latency = simulate(setup, ["split"], FleetPrices(), replications=1).outcomes[0].first_answer
        assert latency
        return latency.p50.mean

    assert first("satellite") - first("none") == pytest.approx(0.63, abs=0.01)


def test_the_price_is_paid_for_the_answers() -> None:
    [one] = simulate(SETUP, ["split"], FleetPrices(replica_hour=3.6), replications=1).outcomes
    assert one.cost_per_1000
    assert one.cost_per_1000.mean == pytest.approx(1000 * 0.001 / one.questions_per_s.mean)


def test_a_sampled_fleet_is_as_busy_as_the_whole_one() -> None:
    large = replace(SETUP, devices=1200, replicas=20)
    part = sampled(large, most_questions=4000)
    assert (part.replicas, part.devices) == (10, 600)
    whole = simulate(large, ["split"], FleetPrices(), replications=1, most_questions=1e9)
    small = simulate(large, ["split"], FleetPrices(), replications=1, most_questions=4000)
    assert small.sampled_replicas == 10
    one, other = whole.outcomes[0], small.outcomes[0]
    assert other.tokens_per_s.mean == pytest.approx(one.tokens_per_s.mean, rel=0.1)
    assert other.questions_per_s.mean == pytest.approx(one.questions_per_s.mean, rel=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_every_pattern_asks_as_often_as_it_should(kind: str) -> None:
    pattern = Pattern(kind=kind, per_hour=2.0)  # type: ignore[arg-type]
    draws = random.Random(3)
    times = list(pattern.starts(500, draws, 86400.0))
    questions = sum(pattern.questions(draws) for _ in times)
    assert times == sorted(times)
    assert questions == pytest.approx(500 * 2 * 24, rel=0.05)


def test_a_day_has_its_peak_where_its_hours_have_it() -> None:
    hours = [0.0] * 24
    hours[20] = 1.0
    times = list(Pattern("daily", 1.0, hours).starts(1000, random.Random(1), 86400.0))
    assert {int(at // 3600) for at in times} == {20}
    assert len(times) == pytest.approx(24_000, rel=0.05)


def test_sessions_wait_for_their_answers() -> None:
    setup = replace(SETUP, pattern=Pattern("sessions", 60, think_s=1.0))
    [one] = simulate(setup, ["split"], FleetPrices(), replications=1).outcomes
    assert one.questions_per_s.mean == pytest.approx(1.0, rel=0.25)


def test_an_interval_is_students() -> None:
    one = estimate([1.0, 2.0, 3.0])
    assert one.mean == 2
    assert one.within == pytest.approx(4.3026527 / 3**0.5)
    assert estimate([5.0]).within is None


def test_the_command_writes_what_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "capacity.json"
    options = ["--devices", "500", "--replications", "2", "--duration", "600", "--price", "2"]
    assert main([*options, "--signal-tokens", "32,64", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "cost of 1000 answers" in said
    data = Capacity.model_validate(json.loads(out.read_text()))
    assert [each.mode for each in data.outcomes] == ["split", "alone"]
    assert data.devices == 500


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--costs", "none.json"], "cannot read none.json"),
        (["--link", "6g"], "no link named '6g'; use one of none, 2g"),
        (["--modes", "half"], "no mode 'half'; there are: split, alone"),
        (["--devices", "0"], "Invalid value for '--devices'"),
        (["--signal-tokens", "many"], "'--signal-tokens': 'many' is not a valid number"),
        (["--signal-tokens", "0"], "signal_tokens"),
        (["--hours", "1,2"], "hours are 24 weights"),
        (
            ["--timeout", "-1"],
            "Invalid value for '--timeout': -1.0 is not in the range from 0 to 86,400",
        ),
        (["--price", "nan"], "'nan' is not a finite number"),
        (["--duration", "10", "--warm-up", "10"], "--warm-up leaves nothing"),
        (["--per-hour", "1e300"], "Invalid value for '--per-hour'"),
        (["--duration", "3e7", "--per-hour", "1e6"], "simulating this means 8.33e+13 questions"),
        (["--devices", "100000000", "--objective", "5"], "more --replicas"),
        (["--hours", ",".join(["1e-320"] * 24)], "hours are 24 weights"),
        (["--hours", ",".join(["nan"] * 24)], "'--hours': 'nan' is not a finite number"),
        (["--signal-tokens", "inf"], "'inf' is not a finite number"),
        (["--signal-tokens", "1e300"], "signal_tokens"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_the_fewest_replicas_that_reach_an_objective_are_found() -> None:
    setup = replace(SETUP, devices=400)
    found = fewest_replicas(setup, "split", 3.0)
    assert found
    assert found.replicas > 1
    assert found.p95_s <= 3.0
    [fewer] = simulate(
        replace(setup, replicas=found.replicas - 1), ["split"], FleetPrices(), replications=2
    ).outcomes
    assert fewer.total
    assert fewer.total.p95.mean > 3.0 or fewer.answered.mean < 0.99


def test_an_objective_below_one_question_alone_is_not_reached() -> None:
    assert fewest_replicas(replace(SETUP, devices=3), "split", 0.1) is None


def test_what_reaches_an_objective_is_written_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sizing.json"
    given = ["--devices", "3", "--duration", "300", "--per-hour", "60", "--out", str(out)]
    assert main([*given, "--modes", "split", "--objective", "600"]) == 0
    written = json.loads(out.read_text())
    [needed] = written["modes"]
    assert (written["objective_s"], needed["mode"]) == (600, "split")
    assert needed["fewest"]["replicas"] == 1
    assert f"within {needed['fewest']['p95_s']:.2f} s" in capsys.readouterr().out
    assert main([*given, "--modes", "split", "--objective", "0.01"]) == 1
    assert "duet-bench: --objective 0.01 is not reached by split" in capsys.readouterr().err
    assert json.loads(out.read_text())["modes"] == [{"mode": "split", "fewest": None}]
