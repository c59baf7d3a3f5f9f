"""How the emulator's own accuracy is measured and judged."""

import json
from pathlib import Path

import pytest

from duet_tools.link import accuracy
from duet_tools.link.accuracy import AccuracyReport, LinkFigure, table
from tests.doubles.commands import bench_link

RESULTS = Path(__file__).parents[3] / "tools/duet_tools/results" / "link_accuracy.json"


def figure(what: str, asked: float, *measured: float, promised: bool = True) -> LinkFigure:
    return LinkFigure(what=what, unit="ms", asked=asked, measured=measured, promised=promised)


def report(*figures: LinkFigure) -> AccuracyReport:
    return AccuracyReport(
        date="2026-01-02", commit=None, machine={}, load=(0.0, 0.0), bare_rtt_ms=0.02,
        figures=figures,
    )  # fmt: skip


def test_a_figure_is_judged_by_its_median() -> None:
    within = figure("delay", 100.0, 90.0, 104.9, 300.0)
    assert within.error == pytest.approx(0.049)
    assert within.met
    assert not figure("delay", 100.0, 94.9).met
    assert not figure("delay", 100.0, 105.1).met


def test_every_promise_counts_and_nothing_else() -> None:
    good, bad = figure("a", 10.0, 10.0), figure("b", 10.0, 20.0)
    unpromised = figure("c", 10.0, 20.0, promised=False)
    assert report(good, unpromised).met
    assert not report(good, bad).met
    lines = table(report(good, bad, unpromised)).splitlines()
    assert [line.split()[-1] for line in lines[2:4]] == ["yes", "NO"]
    assert lines[4].endswith("(not promised)")


def test_delays_and_rates_are_measured_through_an_emulator(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(accuracy, "_RTTS_MS", (120.0,))
    monkeypatch.setattr(accuracy, "_RATES_BIT_S", (2e6,))
    monkeypatch.setattr(accuracy, "REPEATS", 1)
    monkeypatch.setattr(accuracy.measure, "__defaults__", (1,))
    out = tmp_path / "accuracy.json"
    # A busy machine may miss a promise; the figures are written all the same.
    assert bench_link(["--check", "--out", str(out)]) in (0, 1)
    figures = {each["what"]: each for each in json.loads(out.read_text("utf-8"))["figures"]}
    assert {"jitter, standard deviation", "round trip, preset 4g"} < set(figures)
    assert figures["round trip, 120 ms"]["measured"][0] >= 119
    assert figures["connect and first answer, 120 ms"]["measured"][0] >= 238
    for way in ("up", "down"):
        assert 0.5 < figures[f"rate {way}, 2 Mbit/s"]["measured"][0] < 2.2
    assert "round trip, 120 ms" in capsys.readouterr().out


def test_what_is_committed_keeps_every_promise() -> None:
    data = json.loads(RESULTS.read_text("utf-8"))
    written = report(figure("a", 10.0, 10.0)).to_json()
    assert set(json.loads(written)) == set(data)
    assert set(json.loads(written)["figures"][0]) == set(data["figures"][0])
    assert data["within"] == 0.05
    rates = [each for each in data["figures"] if each["what"].startswith("rate ")]
    assert {each["asked"] for each in rates} >= {0.256, 1, 10, 50, 100}
    promised = [each for each in data["figures"] if each["promised"]]
    assert len(promised) >= 20
    for each in promised:
        assert abs(each["error"]) <= 0.05, each["what"]
    assert data["met"] is True
