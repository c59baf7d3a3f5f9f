"""Files that commands write at their end: what cannot be written is said before anything is measured."""

import pytest

from tests.doubles.commands import bench


@pytest.mark.parametrize(
    "command",
    [
        ["marks", "--set", "sums", "sums.jsonl", "--signals", "signals.jsonl"],
        ["privacy"],
        ["link", "--check"],
        ["capacity"],
        ["replicas"],
        ["tls"],
        ["figures"],
        ["local"],
    ],
)
def test_a_directory_that_is_missing(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench([*command, "--out", "no/such/file.json"]) == 2
    said = capsys.readouterr().err
    assert "there is no directory no/such" in said
    assert said.count("\n") == 1
