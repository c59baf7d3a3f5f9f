"""A pair's calibration: read back as written; anything else is refused in one line."""

from pathlib import Path

import pytest

from duet_contract.calibration import (
    CALIBRATION_NAME,
    Calibration,
    Threshold,
    add_calibration,
    check_calibration,
    parse_calibration,
)
from duet_contract.errors import ManifestError
from duet_contract.integrity import sha256_of
from duet_contract.manifest import load_manifest
from tests.doubles.small_pairs import calibration_for, write_pair


def made() -> Calibration:
    threshold = Threshold(
        measure="margin",
        at_least=-0.5,
        risk=0.1,
        failure=0.05,
        trusted=0.4,
        right=0.93,
        signal_tokens=7.5,
    )
    return Calibration(
        schema=1,
        pair="tiny@1.0.0",
        decoder_sha256="0" * 64,
        data="sums",
        questions=500,
        tokens=12.5,
        stop=threshold,
    )


def test_it_is_read_back_as_written() -> None:
    assert parse_calibration(made().to_json()) == made()


def test_each_decision_has_its_threshold() -> None:
    assert made().threshold("stop") == made().stop
    assert made().threshold("gate") is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('"schema": 1', '"schema": 3'), "schema 3"),
        (('"questions": 500', '"questions": 0'), "questions"),
        (('"risk": 0.1', '"risk": 1.1'), "stop.risk"),
        (('"data"', '"date"'), "dat"),
        (("{", "["), "calibration"),
    ],
)
def test_another_file_is_refused(change: tuple[str, str], said: str) -> None:
    text = made().to_json().replace(*change, 1)
    with pytest.raises(ManifestError, match=said) as refused:
        parse_calibration(text, "calibration.json")
    assert "\n" not in str(refused.value)


def test_a_pair_names_the_calibration_that_was_added(tmp_path: Path) -> None:
    before = write_pair(tmp_path / "pair")
    file = tmp_path / "made.json"
    file.write_text(calibration_for(before).to_json())
    added = add_calibration(tmp_path / "pair", file)
    assert added == load_manifest(tmp_path / "pair")
    assert added.calibration
    assert added.calibration.path == CALIBRATION_NAME
    assert added.calibration.sha256 == sha256_of(tmp_path / "pair" / CALIBRATION_NAME)
    assert added.calibration in added.device_files
    assert before.calibration is None
    assert before.files == added.files[:-1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pair": "other@1.0.0"}, "is of other@1.0.0, not of toy@1.0.0"),
        ({"decoder_sha256": "0" * 64}, "quantization"),
    ],
)
def test_one_of_another_pair_or_file_is_not_added(
    tmp_path: Path, changes: dict[str, str], said: str
) -> None:
    manifest = write_pair(tmp_path / "pair")
    foreign = calibration_for(manifest).model_copy(update=changes)
    with pytest.raises(ManifestError, match=said) as refused:
        check_calibration(foreign, manifest)
    assert "duet-device calibrate DATA --pair toy" in str(refused.value)
    file = tmp_path / "made.json"
    file.write_text(foreign.to_json())
    with pytest.raises(ManifestError, match=said):
        add_calibration(tmp_path / "pair", file)
    assert load_manifest(tmp_path / "pair") == manifest
    with pytest.raises(ManifestError, match="cannot add"):
        add_calibration(tmp_path / "pair", tmp_path / "missing.json")
