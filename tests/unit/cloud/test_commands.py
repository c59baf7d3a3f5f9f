"""Commands of the cloud: a machine without a home, missing packages, pairs."""

import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from duet_cloud.cli import INSTALL
from tests.doubles.commands import cloud_pairs as pairs


def test_no_home_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unknown(_user: int) -> None:
        raise KeyError("no such user")

    for name in ("HOME", "XDG_CACHE_HOME", "DUET_PAIRS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert pairs(["build", "stories-5m"]) == 6
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "DUET_PAIRS" in said


@pytest.mark.parametrize(
    ("command", "package"),
    [("serve", "structlog"), ("admin", "click"), ("serve --no-such-flag", "vllm")],
)
def test_a_missing_package_is_one_line_with_what_installs_it(command: str, package: str) -> None:
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from duet_cloud.cli import main\n"
        f"sys.exit(main({command.split()!r}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    told = f"duet-cloud: Python package {package} is not installed; install it with: {INSTALL}\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_weights_that_the_manifest_does_not_name_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The service would refuse them, since vLLM loads whatever weights are there."""
    pair = tmp_path / "pair"
    assert pairs(["build", "stories-5m", "--out", str(pair)]) == 0
    assert pairs(["check", str(pair)]) == 0
    (pair / "reasoner" / "model-00002.safetensors").write_bytes(b"more")
    assert pairs(["check", str(pair)]) == 6
    assert "model-00002.safetensors" in capsys.readouterr().err


def test_a_local_decoder_is_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "small.gguf"
    arguments = ["build", "qwen3-4b-0.6b", "--out", str(tmp_path / "out")]
    assert pairs([*arguments, "--reasoner", str(tmp_path), "--decoder", str(file)]) != 0
    said = capsys.readouterr().err
    assert "small.gguf/small.gguf" not in said
    assert said.count("\n") == 1
