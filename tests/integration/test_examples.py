"""The programs of `docs/examples`, run as a user runs them; only the cloud's signal is scripted."""

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from duet_cloud.pairs.released import install_released, released_manifest
from duet_contract.manifest import load_manifest
from duet_contract.v1.inference_pb2 import ReasonRequest, ReasonResponse
from tests.doubles import models
from tests.doubles.cloud import done_text, text
from tests.doubles.service import ScriptedService
from tests.doubles.tcp import NOWHERE

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
PAIR = "stories-5m"
ROWS = "There are 14 adults and 19 children. They form rows of 11 people. How many rows are there?"
SIGNALS = {ROWS: ("14+19=33.", " 33/11=3.")}


def signals(request: ReasonRequest, _: grpc.ServicerContext) -> Iterator[ReasonResponse]:
    chunks = SIGNALS.get(request.question, ("3*8=24.", " 40-24=16."))
    yield from map(text, chunks)
    yield done_text(len("".join(chunks).split()) * 7)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's pairs: a released one, with its real decoder."""
    directory = tmp_path_factory.mktemp("pairs")
    install_released(PAIR, directory / PAIR)
    return directory


@pytest.fixture
def cloud() -> Iterator[ScriptedService]:
    with ScriptedService(signals, released_manifest(PAIR).reference) as service:
        yield service


def run(name: str, pairs: Path, server: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *map(str, arguments)],
        env={**os.environ, "DUET_PAIRS": str(pairs), "DUET_PAIR": PAIR, "DUET_SERVER": server},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_program_is_on_the_page_and_run_here() -> None:
    page = EXAMPLES.with_suffix(".md").read_text("utf-8")
    tests = Path(__file__).read_text("utf-8")
    programs = sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert len(programs) == 5
    for name in programs:
        assert f'--8<-- "docs/examples/{name}"' in page
        assert f'run("{name}"' in tests


def test_asking(pairs: Path, cloud: ScriptedService) -> None:
    out = run("ask.py", pairs, cloud.address).splitlines()
    assert "3" in out[0]
    assert out[1].startswith("  from duet: 14 signal tokens")
    assert "16" in out[2]
    assert cloud.requests[0].question == ROWS


def test_asking_without_a_cloud_is_one_line(pairs: Path) -> None:
    """The decoder of this pair is worth nothing alone."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "ask.py")],
        env={**os.environ, "DUET_PAIRS": str(pairs), "DUET_PAIR": PAIR, "DUET_SERVER": NOWHERE},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"not answered: no cloud at {NOWHERE}")
    assert "cannot answer alone" in line


def test_streaming(pairs: Path, cloud: ScriptedService) -> None:
    lines = run("stream.py", pairs, cloud.address).splitlines()
    kinds = [line.split(":")[0] for line in lines]
    assert kinds.index("signal") < kinds.index("answer") < kinds.index("result")
    assert lines[-1] == "stopped at the first text of the signal"
    assert len(cloud.requests) == 2


def test_a_grpc_client(pairs: Path, cloud: ScriptedService) -> None:
    assert run("grpc_client.py", pairs, cloud.address).splitlines() == [
        "chunk: '14+19=33.'",
        "chunk: ' 33/11=3.'",
        "end: 14 tokens, FINISH_REASON_END_OF_REASONING, 0 ms of decoding",
    ]


def test_an_own_pair(pairs: Path, tmp_path: Path) -> None:
    models.write_hub_model(tmp_path / "reasoner")
    models.write_gguf_model(tmp_path / "reasoner", tmp_path / "small.gguf")
    files = tmp_path / "reasoner", tmp_path / "small.gguf", tmp_path / "pair"
    out = run("own_pair.py", pairs, "127.0.0.1:9", *files)
    assert "signals are sent as token ids" in out
    assert load_manifest(tmp_path / "pair").reference == "my-pair@1.0.0"


def test_own_data(pairs: Path, cloud: ScriptedService, tmp_path: Path) -> None:
    with (tmp_path / "questions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("question", "answer"), (ROWS, 3), ("Nina's euros?", 16)])
    out = run("own_data.py", pairs, cloud.address, tmp_path / "questions.csv", tmp_path / "report")
    assert "duet: 100% right, 14 large-model tokens" in out
    assert "device-alone: " in out
    assert (tmp_path / "report/report.html").is_file()
