"""Which conditions a run has, and when questions come."""

import itertools

import pytest

from duet_contract.commands import Integer, Number
from duet_tools.errors import UsageProblem
from duet_tools.options import Listed
from duet_tools.results.conditions import Condition, Plan, sweep_between
from duet_tools.results.folder import ConditionWindow
from duet_tools.results.record import Record
from duet_tools.split.load import offsets
from tests.doubles.commands import bench_split


def plan(**changes: object) -> Plan:
    given = {
        "modes": ("duet", "large-alone", "device-alone"),
        "links": ("4g", "wifi"),
        "streams": (1, 8),
        "budgets": (16, 32),
        **changes,
    }
    return Plan(**given)  # type: ignore[arg-type]


def test_every_mode_meets_every_link_load_and_budget_once() -> None:
    ids = [condition.id for condition in plan().conditions()]
    assert len(ids) == len(set(ids)) == 1 + 2 * 2 * 2 + 2 * 2
    assert "duet@16/4g/8 at once" in ids
    assert "large-alone/wifi/1 at once" in ids


def test_the_device_alone_needs_no_link_and_has_one_stream() -> None:
    alone = [condition for condition in plan().conditions() if condition.mode == "device-alone"]
    assert [(condition.link, condition.streams) for condition in alone] == [("none", 1)]


def test_conditions_are_grouped_by_what_must_run() -> None:
    modes = ("truncated", "large-alone", "duet", "large-alone-service", "device-alone")
    order = list(dict.fromkeys(condition.mode for condition in plan(modes=modes).conditions()))
    assert order == ["device-alone", "duet", "large-alone-service", "large-alone", "truncated"]


def test_at_a_rate_there_is_a_condition_a_rate() -> None:
    conditions = plan(
        modes=("duet",), profile="poisson", rates=(0.5, 2.0), budgets=(16,)
    ).conditions()
    assert [condition.load for condition in conditions[:2]] == ["0.5/s poisson", "2/s poisson"]
    assert not conditions[0].live


def test_a_sweep_begins_with_its_ends() -> None:
    conditions = plan(modes=("duet",), links=("4g",), profile="sweep", budgets=(16,)).conditions()
    assert [condition.streams for condition in conditions] == [1, 8]
    between = sweep_between(conditions[0], 1.0, 6.0, 4)
    assert [condition.rate for condition in between] == [2.0, 3.0, 4.0, 5.0]
    assert sweep_between(conditions[0], 2.0, 2.0, 4) == []


def test_how_long_a_run_takes_counts_what_a_sweep_adds() -> None:
    assert plan().most_conditions(4) == len(plan().conditions())
    # The device alone, and two links with two modes each: both ends and four between.
    assert plan(profile="sweep", budgets=(16,)).most_conditions(4) == 1 + 4 * (2 + 4)


def test_a_profile_of_rates_needs_rates() -> None:
    with pytest.raises(UsageProblem, match="needs --rate"):
        plan(profile="constant").conditions()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--modes", "duet,gated"], "no mode 'gated'; there are: duet, auto, large-alone"),
        (["--modes", ","], "no mode chosen"),
        (["--profile", "burst"], "'burst' is not one of 'synchronous'"),
        *((["--concurrency", each], "'--concurrency'") for each in ("0", "many", "1,-2", "1.5")),
        (["--concurrency", "99999"], "99999 is not in the range from 1 to 1,024"),
        (["--rate", "nan"], "'nan' is not a finite number"),
        *((["--objective", each], "WHAT=SECONDS") for each in ("total", "answer=2", "=3")),
        *((["--objective", f"total={each}"], "'--objective'") for each in ("-1", "x", "inf")),
    ],
)
def test_what_cannot_be_planned_is_told(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench_split(arguments) == 2
    assert said in capsys.readouterr().err


def test_lists_are_parsed() -> None:
    counts, rates = Listed(Integer(1, 64), "number"), Listed(Number(), "rate", repeats=True)
    assert counts.convert("1, 8,8,32", None, None) == (1, 8, 32)
    assert rates.convert("0.5,2,2", None, None) == (0.5, 2.0, 2.0)


def test_constant_arrivals_are_even() -> None:
    assert offsets(4, 2.0, "constant", seed=1) == [0.0, 0.5, 1.0, 1.5]


def test_poisson_arrivals_follow_the_seed_and_keep_the_rate() -> None:
    times = offsets(2000, 5.0, "poisson", seed=3)
    assert times == offsets(2000, 5.0, "poisson", seed=3) != offsets(2000, 5.0, "poisson", seed=4)
    assert times == sorted(times)
    assert 1999 / times[-1] == pytest.approx(5.0, rel=0.1)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    mean = sum(gaps) / len(gaps)
    # Of an exponential distribution, deviation and mean are the same.
    assert (sum((g - mean) ** 2 for g in gaps) / len(gaps)) ** 0.5 == pytest.approx(mean, rel=0.1)


def test_files_of_earlier_versions_are_read() -> None:
    condition = {"mode": "device-alone", "link": "none", "streams": 1}
    assert Record.model_validate({"cell": "duet/none"}).condition == "duet/none"
    read = ConditionWindow.model_validate({"cell": condition, "seconds": 2})
    assert read == ConditionWindow(condition=Condition.model_validate(condition), seconds=2)
    assert '"condition"' in read.model_dump_json()
