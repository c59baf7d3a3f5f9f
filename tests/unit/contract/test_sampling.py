"""Temperatures that are sampled at as they are."""

import struct

import pytest

from duet_contract.sampling import LEAST_TEMPERATURE, MOST_TEMPERATURE, valid_temperature


@pytest.mark.parametrize("temperature", [0, -0.0, LEAST_TEMPERATURE, 0.7, MOST_TEMPERATURE])
def test_taken_and_taken_again_behind_the_wire(temperature: float) -> None:
    assert valid_temperature(temperature)
    (single,) = struct.unpack("f", struct.pack("f", temperature))
    assert valid_temperature(single)


@pytest.mark.parametrize(
    "temperature",
    [1e-45, 1e-30, 1e-6, 0.0099, 2.1, -0.5, float("nan"), float("inf"), float("-inf")],
)
def test_refused(temperature: float) -> None:
    assert not valid_temperature(temperature)
