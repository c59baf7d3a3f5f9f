"""A device whose answers may be stored, and a cloud that answers it."""

from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backends.fail import Keyring as NoKeyring

from duet_device.vault import vault
from tests.doubles.asking import default_cloud
from tests.doubles.cloud import ScriptedCloud
from tests.doubles.decoder import ScriptedDecoder
from tests.doubles.keyring import MemoryKeyring


@pytest.fixture
def home(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A device's home that does not exist yet, and the pair `bytes`."""
    monkeypatch.delenv("DUET_PASSPHRASE", raising=False)
    monkeypatch.setattr(vault, "_opened", {})
    keyring.set_keyring(MemoryKeyring())
    yield installed
    keyring.set_keyring(NoKeyring())


@pytest.fixture
def cloud(
    home: Path, decoder: ScriptedDecoder, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ScriptedCloud]:
    with default_cloud(decoder, monkeypatch) as cloud:
        yield cloud
