"""Options of the command, and services that it refuses."""

from pathlib import Path

import pytest

from tests.doubles.commands import bench_split
from tests.doubles.service import ScriptedService
from tests.doubles.split_bench import Bench


def main(bench: Bench, service: ScriptedService, *more: str) -> int:
    return bench.run("--server", service.address, "--warm-up", "0", *more)


def test_a_service_of_another_pair_is_refused(
    bench: Bench, service: ScriptedService, capsys: pytest.CaptureFixture[str]
) -> None:
    service.pairs = ("other@2.0.0", "third@1.0.0")
    assert main(bench, service) == 2
    said = capsys.readouterr().err
    assert "serves another pair: this service serves other@2.0.0, third@1.0.0" in said
    assert "give --pair" in said
    assert not service.requests


def test_a_service_of_several_pairs_is_asked_for_the_one_named(
    bench: Bench, service: ScriptedService
) -> None:
    service.pairs = ("other@2.0.0", "bytes@1.0.0")
    assert main(bench, service, "--modes", "duet", "--limit", "2") == 0
    assert {request.pair for request in service.requests} == {"bytes@1.0.0"}


def test_no_service_is_told(
    bench: Bench, service: ScriptedService, capsys: pytest.CaptureFixture[str]
) -> None:
    service.stop()
    assert main(bench, service) == 1
    assert "no cloud at 127.0.0.1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "more",
    [
        ["--profile", "constant"],
        ["--budgets", "65"],
        ["--large-limit", "5000"],
        ["--verifier", "math"],
        ["--tls-cert", "x.pem"],
        ["--tls-ca", "/no/such/file"],
        ["--figures", "/no/such/file"],
        ["--data", "/no/such/file"],
        ["--pair", "no-such-pair"],
        ["--openai", "127.0.0.1:1", "--modes", "large-alone"],
        ["--no-such-option"],
    ],
)
def test_bad_options_are_one_line_and_code_2(
    bench: Bench, service: ScriptedService, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(bench, service, *more) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if "━" not in line]
    assert said[-1].startswith("duet-bench: ")
    assert len(said) == 1


def test_what_is_needed_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_split([]) == 2
    assert "give --data FILE and --out FOLDER" in capsys.readouterr().err


def test_the_committed_schema_is_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_split(["--schema"]) == 0
    path = Path(__file__).parents[3] / "tools/duet_tools/results/schema.json"
    assert capsys.readouterr().out == path.read_text("utf-8")
