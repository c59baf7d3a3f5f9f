"""The committed report is what the committed results make, without any weights."""

from pathlib import Path

from tests.doubles.commands import train_experiments as main

TRAINING = Path(__file__).parents[3] / "training"


def test_the_report_is_of_the_results(tmp_path, capsys):
    made = tmp_path / "EXPERIMENTS.md"
    assert main(["--report", "--to", str(made), "--work", str(tmp_path / "none")]) == 0
    assert "stages are not run" in capsys.readouterr().out
    stale = [
        path.relative_to(tmp_path)
        for path in [made, *(tmp_path / "experiments" / "plots").iterdir()]
        if path.read_bytes() != (TRAINING / path.relative_to(tmp_path)).read_bytes()
    ]
    assert stale == [], "duet-train experiments --report"
    assert not (tmp_path / "none").exists()
