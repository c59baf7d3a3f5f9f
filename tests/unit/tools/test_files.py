"""JSON that is read and written, and options that are numbers or flags."""

import math
from pathlib import Path

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from duet_contract.json_data import json_text
from duet_tools.errors import UsageProblem
from duet_tools.files import read_text
from duet_tools.fleet.costs_file import read_costs
from duet_tools.fleet.patterns import Pattern
from duet_tools.link.profiles import BadLink, Direction, link_named
from duet_tools.link.timeline import BadTimeline, read_timeline
from duet_tools.options import flags
from duet_tools.progress import plain
from duet_tools.report.readme_tables import read_measured
from duet_tools.results.figures import Results
from duet_tools.results.report import Report
from duet_tools.split.command import ObjectiveType

ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)
NUMBERS = st.one_of(ANY_FLOAT, st.integers(-(10**400), 10**400))


@given(ANY_FLOAT)
@example(math.nan)
@example(math.inf)
@example(1e308)
@example(5e-324)
def test_an_objective_is_a_number_of_seconds_that_json_can_hold(number: float) -> None:
    try:
        objective = ObjectiveType().convert(f"total={number}", None, None)
    except click.BadParameter:
        assert not 0 < number <= 86_400
        return
    assert 0 < number <= 86_400
    assert objective.most == pytest.approx(1000 * number)
    json_text(objective.model_dump())


@given(NUMBERS, st.sampled_from(["delay_ms", "jitter_ms", "stall_ms", "rate_bit_s"]))
def test_a_links_setting_is_bounded_or_refused(number: float, name: str) -> None:
    try:
        made = Direction().changed({name: number})
    except BadLink:
        return
    assert math.isfinite(getattr(made, name) or 0.0)
    assert (getattr(made, name) or 0.0) <= 1e12


@given(ANY_FLOAT, ANY_FLOAT, ANY_FLOAT, st.lists(ANY_FLOAT, min_size=24, max_size=24))
@example(1.0, 4.0, 30.0, [5e-324] + [0.0] * 23)
@example(1.0, 4.0, 30.0, [1e308] * 24)
def test_a_pattern_that_is_taken_can_be_drawn_from(
    per_hour: float, questions: float, think: float, hours: list[float]
) -> None:
    try:
        pattern = Pattern("daily", per_hour, hours, questions, think)
    except UsageProblem:
        return
    assert math.isfinite(sum(pattern.hours) / 24)
    assert max(pattern.hours) / (sum(pattern.hours) / 24) <= 24.000001


@given(st.text())
def test_flags_are_split_or_refused(text: str) -> None:
    try:
        found = flags(text)
    except UsageProblem:
        return
    assert isinstance(found, tuple)


def test_a_quotation_without_an_end_is_refused() -> None:
    with pytest.raises(UsageProblem, match="--service-flags: No closing quotation"):
        flags("'")


@given(st.text())
def test_text_is_shown_as_it_is(text: str) -> None:
    shown = plain(text)
    assert shown.spans == []
    assert all(character.isprintable() or character in "\n\t" for character in shown.plain) or all(
        character not in shown.plain for character in "\x1b\x07\x9b\x7f"
    )


@pytest.mark.parametrize(
    "read",
    [
        Report.read,
        Results.read,
        read_measured,
        read_timeline,
        lambda path: read_costs(path, (1.0,), (1.0,)),
    ],
    ids=["report", "results", "measured", "timeline", "costs"],
)
@pytest.mark.parametrize("text", ["[" * 200_000, "NaN", '{"conditions": 3}'])
def test_a_file_that_is_nested_too_deeply_or_no_json_is_refused_in_one_line(
    read: object, text: str, tmp_path: Path
) -> None:
    path = tmp_path / "file.json"
    path.write_text(text, "utf-8")
    with pytest.raises((UsageProblem, BadTimeline)) as caught:
        read(path)  # type: ignore[operator]
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_toml_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "timeline.toml"
    path.write_text("a = " + "[" * 100_000, "utf-8")
    with pytest.raises(BadTimeline, match=r"timeline\.toml: it is nested too deeply"):
        read_timeline(path)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    path.write_text("1" * 11, "utf-8")
    with pytest.raises(UsageProblem, match="it is larger than 10 bytes"):
        read_text(path, 10)
    assert read_text(path, 11)


def test_huge_integers_of_a_timeline_are_refused(tmp_path: Path) -> None:
    for number, line in enumerate((f"rtt_ms = 1{'0' * 400}", "rtt_ms = nan", "rtt_ms = 1e308")):
        path = tmp_path / f"{number}.toml"
        path.write_text(f"[[at]]\nt = 1\n{line}\n", "utf-8")
        with pytest.raises(BadTimeline, match="step 1: rtt_ms: Input should be"):
            read_timeline(path)
    assert link_named("none").rtt_ms == 0
