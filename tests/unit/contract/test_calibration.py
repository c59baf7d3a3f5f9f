"""A pair's calibration: read back as written; anything else is refused in one line."""

import pytest

from duet_contract.calibration import Calibration, Threshold, parse_calibration
from duet_contract.errors import ManifestError


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
        (('"schema": 1', '"schema": 2'), "schema 2"),
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
