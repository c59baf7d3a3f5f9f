"""Answers that the device marked: told of each question, counted for each condition."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from duet_tools.report.compare import compare
from duet_tools.results.record import Record
from duet_tools.results.report import MarkedLow, Report
from tests.doubles.reports import LARGE, SPLIT, large_records, records, report, summary
from tests.doubles.service import ScriptedCompletions, ScriptedService
from tests.doubles.split_bench import Bench

DEVICE_CONDITIONS = (
    "device-alone/none/1 at once",
    "duet@16/none/1 at once",
    "duet@16/none/3 at once",
)


def name_threshold(bench: Bench, confidence: float) -> None:
    path = bench.pair / "manifest.json"
    data = json.loads(path.read_text("utf-8"))
    data["defaults"]["confidence"] = confidence
    path.write_text(json.dumps(data), "utf-8")


def sure(ids: Sequence[int]) -> float:
    """Of what follows a question: the decoder doubts its answers to the first two."""
    asked = bytes(token for token in ids if token < 256)
    return 0.3 if b"is 0?" in asked or b"is 1?" in asked else 0.9


def run(bench: Bench, service: ScriptedService, *more: str) -> list[Record]:
    given = ["--server", service.address, "--warm-up", "0", "--concurrency", "1,3"]
    assert bench.run(*given, *more) == 0
    return [Record.model_validate(row) for row in bench.rows]


def test_every_mode_with_a_decoder_tells_which_answers_it_marked(
    bench: Bench, service: ScriptedService, completions: ScriptedCompletions
) -> None:
    name_threshold(bench, 0.5)
    bench.decoder.sure = sure
    modes = "duet,device-alone,large-alone"
    found = run(bench, service, "--modes", modes, "--openai", completions.address)
    for condition in DEVICE_CONDITIONS:
        told = {each.id: each.low_confidence for each in found if each.condition == condition}
        assert told == {f"q{i}": i < 2 for i in range(6)}, condition
    assert {each.device for each in found if each.condition.startswith("duet")} == {
        "live",
        "replayed",
    }
    assert {each.low_confidence for each in found if each.condition.startswith("large")} == {None}

    # The first question's answer is wrong.
    conditions = {condition.id: condition.marked_low for condition in bench.report.conditions}
    counted = MarkedLow(right=5, right_marked=1, wrong=1, wrong_marked=1)
    assert {conditions[condition] for condition in DEVICE_CONDITIONS} == {counted}
    assert conditions["large-alone/none/1 at once"] is None
    said = "20% of 5 / 100% of 1"
    for name in ("report.md", "report.html"):
        # Once for each condition that a device answered.
        assert (bench.out / name).read_text("utf-8").count(said) == len(DEVICE_CONDITIONS)
    with (bench.out / "questions.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["condition"] == DEVICE_CONDITIONS[0]]
    assert [row["low_confidence"] for row in rows] == ["True", "True"] + ["False"] * 4


def test_a_pair_without_a_threshold_marks_nothing(bench: Bench, service: ScriptedService) -> None:
    bench.decoder.sure = sure
    found = run(bench, service, "--modes", "duet,device-alone")
    assert {each.low_confidence for each in found} == {None}
    assert all(condition.marked_low is None for condition in bench.report.conditions)
    assert "marked low" not in (bench.out / "report.md").read_text("utf-8")


def test_only_answers_that_a_device_judged_are_counted() -> None:
    # Marked: every second one. Right: the first five.
    found = records(SPLIT, 10, low_confidence=lambda i: i % 2 == 0, correct=lambda i: i < 5)
    found[0].status = "busy"
    found[9].low_confidence = None
    counted = MarkedLow(right=4, right_marked=2, wrong=4, wrong_marked=2)
    assert summary(SPLIT, found).marked_low == counted
    assert summary(LARGE, large_records()).marked_low is None
    without_references = records(SPLIT, low_confidence=True, correct=None)
    assert summary(SPLIT, without_references).marked_low is None
    assert summary(SPLIT, [], questions=5).marked_low is None


def test_a_report_without_the_counts_is_read_and_compared(tmp_path: Path) -> None:
    new = report(summary(SPLIT, records(SPLIT, low_confidence=False)))
    data = json.loads(new.to_json())
    assert data["conditions"][0].pop("marked_low") == {
        "right": 20, "right_marked": 0, "wrong": 0, "wrong_marked": 0,
    }  # fmt: skip
    path = tmp_path / "report.json"
    path.write_text(json.dumps(data), "utf-8")
    old = Report.read(path)
    assert old.conditions[0].marked_low is None
    assert {each.verdict for each in compare(old, new)} == {"noise"}
