"""What a device measures of servers that run elsewhere: which modes, and which times."""

from pathlib import Path

import pytest

from tests.doubles.service import ScriptedCompletions, ScriptedService, self_signed
from tests.doubles.split_bench import Bench


def main(
    bench: Bench, service: ScriptedService, completions: ScriptedCompletions, *more: str
) -> int:
    servers = ["--server", service.address, "--openai", completions.address, "--warm-up", "0"]
    return bench.run(*servers, *more)


@pytest.mark.parametrize(
    ("modes", "given", "told"),
    [
        ("duet,truncated", True, "or leave truncated out"),
        ("duet,large-alone", False, "or give --server and --openai"),
        ("truncated", False, "or give --openai and leave truncated out"),
    ],
)
def test_a_device_without_the_reasoner_is_told_before_anything_is_measured(
    bench: Bench,
    service: ScriptedService,
    completions: ScriptedCompletions,
    capsys: pytest.CaptureFixture[str],
    modes: str,
    given: bool,
    told: str,
) -> None:
    addresses = ["--server", service.address, "--openai", completions.address]
    assert bench.run("--modes", modes, *(addresses if given else ())) == 2
    said = capsys.readouterr().err
    assert "no tokenizer of the reasoner of bytes can be read here" in said
    assert said.rstrip().endswith(told)
    assert said.count("\n") == 1
    assert not bench.out.exists()
    assert not service.requests


def test_what_a_device_can_measure_of_running_services_needs_no_reasoner(
    bench: Bench, service: ScriptedService, completions: ScriptedCompletions
) -> None:
    # This pair's reasoning ends with its answer, so that nothing has to be divided.
    assert main(bench, service, completions, "--modes", "duet,large-alone") == 0


def test_tls_to_a_service_that_would_be_started_here_is_refused(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, certificate = self_signed(tmp_path)
    assert bench.run("--modes", "duet", "--tls-ca", str(certificate)) == 2
    assert capsys.readouterr().err == (
        "duet-bench: --tls-ca needs --server: a service that is started here is plaintext\n"
    )


def test_a_connection_over_http_takes_the_links_round_trip_too(
    bench: Bench, service: ScriptedService, completions: ScriptedCompletions
) -> None:
    completions.metrics = {
        "queue_time_ms": 1.0, "time_to_first_token_ms": 2.0, "generation_time_ms": 30.0,
    }  # fmt: skip
    more = ["--modes", "large-alone", "--link", "2g"]
    assert main(bench, service, completions, *more) == 0
    metrics = bench.report.conditions[0].metrics
    assert metrics["connect_ms"].p50 >= 800
    assert metrics["cloud_s"].p50 == pytest.approx(0.032)
