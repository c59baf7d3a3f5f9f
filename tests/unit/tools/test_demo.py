"""`make demo`: what the question is on its way, and a service that does not start."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from duet_contract.pairs import DEFAULT_PAIR
from tests.doubles.commands import bench_demo

ROOT = Path(__file__).parents[3]
QUESTIONS = [
    "A hat costs $7, two cost $$14: 50% of what?",
    '"Who\'s there?" `touch read` \\ $(shell touch read) ${HOME} $HOME; # & | *',
    "--help",
    "数学, é",
]


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
@pytest.mark.parametrize("question", QUESTIONS)
def test_the_question_arrives_as_it_was_given(question: str, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text(
        f'#!/usr/bin/env python3\nimport json, sys\nopen({str(tmp_path / "log")!r}, "a").write('
        'json.dumps(sys.argv[1:]) + "\\n")\n'
    )
    python.chmod(0o755)
    (tmp_path / ".ready").touch()
    (tmp_path / "tree").mkdir()
    for name in ("Makefile", "requirements", "proto", "device", "cloud", "tools", "training"):
        (tmp_path / "tree" / name).symlink_to(ROOT / name)
    command = ["make", "demo", f"VENV={tmp_path}", f"Q={question}"]
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    subprocess.run(command, cwd=tmp_path / "tree", check=True, capture_output=True, env=environment)
    built, asked = map(json.loads, (tmp_path / "log").read_text("utf-8").splitlines())
    assert built == ["-m", "duet_cloud", "pairs", "build", DEFAULT_PAIR, "--if-missing"]
    assert asked == ["-m", "duet_tools", "demo", "--pair", DEFAULT_PAIR, "--", question]
    assert not (tmp_path / "tree" / "read").exists(), "a part of it was run"


def test_a_service_that_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert bench_demo(["--pair", str(tmp_path / "nothing"), "why?"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    (log,) = tmp_path.glob("duet-demo-*.log")
    assert log.name in err.replace("\n", "")
    assert "duet-cloud: " in log.read_text()
