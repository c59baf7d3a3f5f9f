"""A device that trusts one publisher, and a cloud with a pair that this one signed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from duet_contract.keys import public_bytes
from duet_device.pairs.pulling import cloud as cloud_module
from duet_device.trust.publishers import BY_HAND, pin
from tests.doubles.pair_cloud import PairCloud
from tests.doubles.pulls import KEY
from tests.doubles.small_pairs import write_pair


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DUET_PAIRS", str(tmp_path / "pairs"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(cloud_module, "_FIRST_WAIT_S", 0.01)
    pin(BY_HAND, (public_bytes(KEY),))
    return tmp_path / "pairs"


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A signed pair, as a host has it."""
    write_pair(tmp_path / "origin", KEY)
    return tmp_path / "origin"


@pytest.fixture
def cloud(origin: Path) -> Iterator[PairCloud]:
    with PairCloud(origin) as cloud:
        yield cloud
