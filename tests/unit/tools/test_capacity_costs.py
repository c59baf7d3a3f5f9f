"""Costs: what they say between measured points, and where they are read from."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from duet_tools.errors import UsageProblem
from duet_tools.fleet.costs import Costs, DeviceCosts, EngineCosts, Speed
from duet_tools.fleet.costs_file import costs_from_report, read_costs
from duet_tools.results.report import Report
from tests.doubles.reports import LARGE, SPLIT, records, summary
from tests.doubles.reports import report as reported

RESULTS = Path(__file__).parents[3] / "tools/duet_tools/results" / "split_cpu.json"
COSTS = Costs(
    engine=EngineCosts(
        speeds=(Speed(streams=1, tokens_per_s=50), Speed(streams=8, tokens_per_s=240))
    ),
    device=DeviceCosts(first_answer_s=0.03, answer_tokens_per_s=190),
    signal_tokens=(32.0, 64.0),
    answer_tokens=(8.0, 16.0),
)


def test_steps_between_measured_points_are_on_the_line() -> None:
    engine = COSTS.engine
    assert engine.step_s(1) == pytest.approx(1 / 50)
    assert engine.step_s(8) == pytest.approx(8 / 240)
    assert engine.step_s(1) < engine.step_s(4) < engine.step_s(8) < engine.step_s(9)


@given(
    st.lists(st.tuples(st.integers(1, 20), st.floats(1, 1e4)), min_size=1, max_size=6),
    st.integers(1, 500),
)
def test_more_streams_never_make_the_engine_faster_than_measured(
    points: list[tuple[int, float]], streams: int
) -> None:
    count, speeds = 0, []
    for more, speed in points:
        count += more
        speeds.append(Speed(streams=count, tokens_per_s=speed))
    engine = EngineCosts(speeds=tuple(speeds))
    assert engine.step_s(streams) > 0
    most = max(speed.tokens_per_s for speed in speeds)
    if streams >= count:
        assert streams / engine.step_s(streams) <= most * 1.0001


def test_costs_are_written_and_read(tmp_path: Path) -> None:
    file = tmp_path / "costs.json"
    file.write_text(COSTS.model_dump_json())
    assert read_costs(file, (1.0,), (1.0,)) == COSTS


def test_costs_are_made_from_the_committed_results() -> None:
    costs = read_costs(RESULTS, (64.0,), (32.0,))
    speeds = {speed.streams: speed.tokens_per_s for speed in costs.engine.speeds}
    assert list(speeds) == [1, 8, 32]
    # Without the prompts' share it decodes faster than it answers whole signals.
    measured = {
        figure["id"]: figure["subject"]["summary"]["median"]
        for figure in json.loads(RESULTS.read_text())["figures"]
    }
    for streams, speed in speeds.items():
        whole = measured[f"throughput.engine-{streams}"]
        assert whole < speed < 2 * whole
    assert costs.engine.prefill_s > 0
    assert costs.split_wire.down_bytes_per_token < 10 < costs.alone_wire.down_bytes_per_token
    assert "smollm2" in costs.source


SPLIT_MS = {
    "connect_ms": 10.0, "first_signal_ms": 80.0, "signal_ms": 900.0, "first_answer_ms": 930.0,
    "prefill_ms": 60.0, "cloud_step_ms": 20.0, "device_step_ms": 5.0,
}  # fmt: skip


def measured(**changes: object) -> Report:
    """Two conditions of the split, at one stream and at eight, and the large model alone."""
    given = {**SPLIT_MS, "signal_tokens": 40, "answer_tokens": 10, "wire_up": 500, **changes}
    conditions = []
    for streams, step_ms in ((1, given["cloud_step_ms"]), (8, 40.0)):
        condition = SPLIT.model_copy(update={"link": "none", "streams": streams})
        more = {**given, "cloud_step_ms": step_ms, "wire_down": 200}
        conditions.append(
            summary(condition, records(condition, 2, **more, large_tokens=lambda i: 32 + 16 * i))
        )
    alone = LARGE.model_copy(update={"link": "none"})
    found = records(alone, 2, large_tokens=90, wire_up=700, wire_down=9000)
    return reported(*conditions, summary(alone, found))


def test_costs_are_made_from_a_report() -> None:
    costs = costs_from_report(measured())
    assert costs.engine.speeds == (
        Speed(streams=1, tokens_per_s=50),
        Speed(streams=8, tokens_per_s=200),
    )
    assert costs.engine.prefill_s == pytest.approx(0.04)
    assert costs.engine.overhead_s == pytest.approx(0.01)
    assert costs.device == DeviceCosts(first_answer_s=0.03, answer_tokens_per_s=200)
    assert costs.signal_tokens == (32.0, 48.0)
    assert costs.alone_tokens == (80.0,)
    assert costs.split_wire.down_bytes_per_token == 5
    assert costs.alone_wire.down_bytes_per_token == 100


@pytest.mark.parametrize("whole", [True, False])
def test_costs_are_made_from_a_report_as_it_is_written(tmp_path: Path, whole: bool) -> None:
    split = SPLIT.model_copy(update={"link": "none"})
    found = records(split, cloud_step_ms=20.0, device_step_ms=5.0, large_tokens=lambda i: 10 + i)
    written = reported(summary(split, found))
    file = tmp_path / "report.json"
    file.write_text((written if whole else written.without_series()).to_json(), "utf-8")
    costs = read_costs(file, (1.0,), (1.0,))
    assert costs.engine.speeds == (Speed(streams=1, tokens_per_s=50),)
    assert costs.device == DeviceCosts(first_answer_s=0.02, answer_tokens_per_s=200)
    # What was kept without its questions' values has the median alone.
    assert costs.signal_tokens == (tuple(range(10, 30)) if whole else (10,))
    assert costs.source == "report.json: p@1.0.0, 2026-01-02"


def test_a_report_without_the_split_is_refused() -> None:
    with pytest.raises(UsageProblem, match="no condition of duet over link none at one stream"):
        costs_from_report(reported(summary(SPLIT, records(SPLIT))))


def test_a_report_that_lacks_a_metric_is_refused() -> None:
    with pytest.raises(UsageProblem, match="duet@32/none/1 at once has no metric cloud_step_ms"):
        costs_from_report(measured(cloud_step_ms=None))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "costs: Input should be"),
        ('{"engine": {"speeds": []}}', "engine.speeds: Tuple should have at least 1 item"),
        ('{"schema": 1, "figures": [], "pair": "p", "machine": {}}', "is not a valid results file"),
        ('{"schema": 99, "figures": []}', "has schema 99"),
    ],
)
def test_what_holds_no_costs_is_refused_with_the_reason(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "costs.json"
    file.write_text(text)
    with pytest.raises(UsageProblem) as caught:
        read_costs(file, (1.0,), (1.0,))
    assert message in str(caught.value)


def test_results_without_a_figure_name_it(tmp_path: Path) -> None:
    data = json.loads(RESULTS.read_text())
    data["figures"] = [each for each in data["figures"] if each["id"] != "first-token.added"]
    file = tmp_path / "results.json"
    file.write_text(json.dumps(data))
    with pytest.raises(UsageProblem, match=r"has no figure first-token\.added"):
        read_costs(file, (1.0,), (1.0,))


@pytest.mark.parametrize(
    "speeds", [((8, 10.0), (1, 10.0)), ((1, 10.0), (1, 20.0)), ((1, 0.0),), ((0, 1.0),)]
)
def test_speeds_that_cannot_be_are_refused(speeds: tuple[tuple[int, float], ...]) -> None:
    with pytest.raises(ValidationError):
        EngineCosts(
            speeds=tuple(Speed(streams=streams, tokens_per_s=speed) for streams, speed in speeds)
        )
