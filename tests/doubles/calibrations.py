"""Calibrations of the pair `bytes`, to change one thing of."""

from typing import Any

from duet_contract.calibration import Calibration, Threshold
from tests.unit.device.conftest import SHA


def threshold(measure: str, at_least: float, **changes: Any) -> Threshold:
    """A threshold that was fitted well."""
    data = {"risk": 0.1, "failure": 0.05, "trusted": 0.8, "right": 0.95, "signal_tokens": 3.0}
    return Threshold(**{**data, "measure": measure, "at_least": at_least, **changes})


def calibration(**changes: Any) -> Calibration:
    """A calibration without thresholds but for those in `changes`."""
    data = {"pair": "bytes@1.0.0", "decoder_sha256": SHA, "data": "sums", "questions": 100}
    return Calibration(**{**data, "schema": 1, "tokens": 20.0, **changes})
