"""Mode `auto` of the bench: what the policy keeps on the device costs no tokens of the large model."""

from pathlib import Path

import pytest

from duet_contract.calibration import Calibration, Threshold
from duet_contract.manifest import Manifest
from duet_device.policy.calibrations import store
from tests.doubles.decoder import END
from tests.doubles.service import ScriptedService
from tests.doubles.split_bench import Bench

AUTO = ("--warm-up", "0", "--modes", "duet,auto")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUET_HOME", str(tmp_path / "home"))


@pytest.fixture
def calibrated(manifest: Manifest) -> None:
    gate = Threshold(
        measure="margin",
        at_least=0.5,
        risk=0.1,
        failure=0.05,
        trusted=0.5,
        right=1.0,
        signal_tokens=4.0,
    )
    store(
        Calibration(
            schema=1,
            pair=manifest.reference,
            decoder_sha256=manifest.decoder_sha256,
            data="sums",
            questions=100,
            tokens=7.0,
            gate=gate,
        ),
        manifest,
    )


def main(bench: Bench, service: ScriptedService, *more: str) -> int:
    return bench.run("--server", service.address, *AUTO, *more)


@pytest.mark.usefixtures("calibrated")
def test_the_policy_is_measured_like_the_split(bench: Bench, service: ScriptedService) -> None:
    def sure(ids: list[int]) -> float:
        text = bytes(token for token in ids if token < END)
        return 0.9 if any(b"is %d?" % number in text for number in (1, 3, 5)) else 0.4

    bench.decoder.sure = sure
    assert main(bench, service) == 0
    rows = bench.rows
    spent = {
        mode: [
            row.get("large_tokens", 0) for row in rows if row["condition"].startswith(f"{mode}@")
        ]
        for mode in ("duet", "auto")
    }
    assert len(spent["duet"]) == len(spent["auto"]) == 6
    assert all(spent["duet"])
    assert [bool(tokens) for tokens in spent["auto"]] == [True, False] * 3
    conditions = {condition.condition.mode: condition for condition in bench.report.conditions}
    assert conditions["auto"].accuracy
    assert conditions["duet"].accuracy
    assert conditions["auto"].accuracy.value == conditions["duet"].accuracy.value


def test_without_a_calibration_it_is_refused_with_the_command_that_makes_one(
    bench: Bench, service: ScriptedService, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(bench, service) == 2
    assert "duet-device calibrate DATA --pair bytes" in capsys.readouterr().err


@pytest.mark.usefixtures("calibrated")
@pytest.mark.parametrize("load", [("--concurrency", "1,3"), ("--profile", "sweep")])
def test_it_measures_no_load(
    bench: Bench,
    service: ScriptedService,
    capsys: pytest.CaptureFixture[str],
    load: tuple[str, ...],
) -> None:
    assert main(bench, service, *load) == 2
    assert "--concurrency 1" in capsys.readouterr().err
