"""What the commands of training say when they are asked, and of what they do not know."""

import pytest

from tests.doubles.commands import (
    train_evaluate,
    train_experiments,
    train_pair,
    train_preflight,
    train_run,
)


@pytest.mark.parametrize("command", [train_run, train_evaluate, train_preflight])
def test_settings_are_listed(command, capsys):
    assert command(["pair=p.yaml", "--settings"]) == 0
    assert "# YAML file: both models and their prompts" in capsys.readouterr().out


@pytest.mark.parametrize("command", [train_run, train_evaluate, train_preflight])
def test_an_option_is_no_setting(command, capsys):
    assert command(["--steps", "3"]) == 2
    error = capsys.readouterr().err
    assert "No such option '--steps'" in error
    assert error.count("\n") == 1


def test_a_batch_takes_no_settings(capsys):
    assert train_evaluate(["--batch", "file", "pair=p.yaml"]) == 2
    assert "not both" in capsys.readouterr().err


@pytest.mark.parametrize(("given", "code"), [("--help", 0), ("-h", 0), ("--out", 2)])
def test_no_directory_is_called_like_an_option(given, code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert train_pair([given]) == code
    assert list(tmp_path.iterdir()) == []


def test_a_pattern_that_matches_no_stage_writes_nothing(tmp_path, capsys):
    places = ["--results", str(tmp_path), "--work", str(tmp_path), "--to", str(tmp_path / "to.md")]
    assert train_experiments(["--only", "duet-0", "--only", "duett*", *places]) == 1
    assert "--only duett* matches no stage" in capsys.readouterr().err
    assert not (tmp_path / "to.md").exists()
