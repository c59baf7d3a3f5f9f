"""Wrong settings are refused before VERL, Ray and torch are imported."""

import sys

import pytest

from tests.doubles.commands import train_preflight, train_run


@pytest.mark.parametrize(
    ("module", "command"),
    [("duet_training.rl.trainer", train_run), ("duet_training.preflight.command", train_preflight)],
)
def test_an_unknown_setting_needs_no_heavy_import(module, command, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, module, None)
    assert command(["out=run", "bogus=1"]) == 1
    assert "there is no bogus" in capsys.readouterr().err
