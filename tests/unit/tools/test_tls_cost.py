"""What mutual TLS costs: what is written."""

import json
import sys
from pathlib import Path

import pytest

from duet_tools import tls
from duet_tools.bench.stats import summarise
from duet_tools.results.figures import Figure, Results, Series
from tests.doubles.commands import bench_tls
from tests.doubles.small_pairs import write_pair


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    write_pair(tmp_path / "pair")
    return tmp_path / "pair"


def _figure(name: str, value: float) -> Figure:
    summary = summarise([value])
    return Figure(
        id=name,
        title=name,
        unit="s",
        subject=Series(name="a", summary=summary),
        judged=summary,
        judged_unit="s",
    )


def _run(monkeypatch: pytest.MonkeyPatch, pair: Path, out: Path, *arguments: str) -> int:
    given = ["--pair", str(pair), "--out", str(out), *arguments]
    monkeypatch.setattr(sys, "argv", ["duet-bench", "tls", *given])
    return bench_tls(given)


def test_figures_that_are_not_measured_now_are_kept(
    pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.json"
    for number, figures in enumerate((["tls.a", "tls.b"], ["tls.b"])):
        found = [_figure(name, number + 1.0) for name in figures]
        monkeypatch.setattr(tls, "_measure", lambda *_, found=found: iter(found))
        assert _run(monkeypatch, pair, out, "--figures", "start,engine") == 0
    figures = {figure.id: figure for figure in Results.read(out).figures}
    assert [figure.judged.median for figure in figures.values()] == [1.0, 2.0]
    assert figures["tls.a"].command.endswith("--out out.json --figures start,engine")
    assert str(tmp_path) not in out.read_text()


def test_results_of_another_machine_are_not_mixed_in(
    pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.json"
    monkeypatch.setattr(tls, "_measure", lambda *_: iter(()))
    assert _run(monkeypatch, pair, out, "--figures", "start") == 0
    assert not out.exists()
    monkeypatch.setattr(tls, "_measure", lambda *_: iter([_figure("tls.a", 1.0)]))
    assert _run(monkeypatch, pair, out) == 0
    content = json.loads(out.read_text())
    content["machine"]["cpu"] = "another"
    out.write_text(json.dumps(content))
    assert _run(monkeypatch, pair, out) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("--figures", "nonsense"),
        ("--seconds", "nan"),
        ("--seconds", "1e300"),
        ("--repeats", "1000000"),
    ],
)
def test_what_cannot_be_measured_is_usage(
    pair: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
) -> None:
    assert _run(monkeypatch, pair, tmp_path / "out.json", *arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("duet-bench: ")
    assert said.count("\n") == 1
