"""Windows is refused: at installation by a dependency, at the start by one line."""

import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from duet_contract import console
from duet_device.cli import main

PROJECT = Path(__file__).parents[3] / "device" / "pyproject.toml"


def test_windows_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert main(["--version"]) == console.EXIT_FAILED
    out, err = capsys.readouterr()
    assert not out
    assert err == "duet-device: Windows is not supported: run it in WSL, Linux or macOS\n"


@pytest.mark.parametrize(
    ("platform", "refused"), [("win32", True), ("linux", False), ("darwin", False)]
)
def test_no_release_can_be_installed_on_windows(platform: str, refused: bool) -> None:
    project = tomllib.loads(PROJECT.read_text("utf-8"))["project"]
    contracts = [
        requirement
        for requirement in map(Requirement, project["dependencies"])
        if requirement.name == "duet-contract"
        and (not requirement.marker or requirement.marker.evaluate({"sys_platform": platform}))
    ]
    assert contracts
    satisfied = all(each.specifier.contains(project["version"]) for each in contracts)
    assert satisfied is not refused
