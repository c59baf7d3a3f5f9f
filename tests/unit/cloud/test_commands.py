"""Every command of the cloud as a process: streams, a machine without a home, missing packages."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from duet_cloud.errors import INSTALL
from duet_cloud.pairs.__main__ import main as pairs

COMMANDS = ["duet_cloud.serve", "duet_cloud.admin", "duet_cloud.pairs"]


def run(module: str, *arguments: str, redirection: str = "", **options: object) -> tuple[int, str]:
    shell = ["sh", "-c", f'exec "$@" {redirection}', "sh"]
    done = subprocess.run(
        [*shell, sys.executable, "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        **{"stdout": subprocess.DEVNULL, **options},  # type: ignore[call-overload]
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("module", COMMANDS)
def test_a_full_disk_is_one_line(module: str) -> None:
    code, said = run(module, "--help", redirection=">/dev/full")
    assert (code, said) == (1, f"{module}: cannot write to stdout: No space left on device\n")


@pytest.mark.parametrize("module", COMMANDS)
def test_a_reader_that_has_gone_is_no_error(module: str) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    try:
        assert run(module, "--help", stdout=writes) == (141, "")
    finally:
        os.close(writes)


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


@pytest.mark.parametrize(("module", "package"), [("serve", "structlog"), ("admin", "click")])
def test_a_missing_package_is_one_line_with_what_installs_it(module: str, package: str) -> None:
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        f"from duet_cloud.{module} import {'main' if module == 'serve' else '__main__'} as found\n"
        f"sys.exit({'found' if module == 'serve' else 'found.main'}(['--help']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    name = f"duet_cloud.{module}"
    told = f"{name}: Python package {package} is not installed; install it with: {INSTALL}\n"
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
