"""What the commands of training say when they are asked, and of what they do not know."""

import pytest

from duet_training import evaluate, train
from duet_training.experiments import __main__ as evidence
from duet_training.pair import tiny
from duet_training.preflight import __main__ as preflight


@pytest.mark.parametrize("command", [train, evaluate, preflight])
@pytest.mark.parametrize("asked", ["-h", "--help"])
def test_help_says_what_can_be_set(command, asked, capsys):
    assert command.main(["pair=p.yaml", asked]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: python -m duet_training.")
    assert "# YAML file: both models and their prompts" in out


@pytest.mark.parametrize("command", [train, evaluate, preflight])
def test_an_option_is_no_setting(command, capsys):
    assert command.main(["--steps", "3"]) == 1
    error = capsys.readouterr().err
    assert "there is no option --steps" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(("given", "code"), [("--help", 0), ("-h", 0), ("--out", 2)])
def test_no_directory_is_called_like_an_option(given, code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert tiny.main([given]) == code
    said = capsys.readouterr()
    assert "usage" in (said.err if code else said.out)
    assert list(tmp_path.iterdir()) == []


def test_a_pattern_that_matches_no_stage_writes_nothing(tmp_path, capsys):
    places = ["--results", str(tmp_path), "--work", str(tmp_path), "--to", str(tmp_path / "to.md")]
    assert evidence.main(["--only", "duet-0", "--only", "duett*", *places]) == 1
    assert "--only duett* matches no stage" in capsys.readouterr().err
    assert not (tmp_path / "to.md").exists()
