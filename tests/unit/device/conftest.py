"""A pair that exists only as a manifest, and a decoder double that belongs to it."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from duet_contract.manifest import Manifest
from duet_device.pairs.pair import Pair
from tests.doubles.asking import default_cloud
from tests.doubles.clock import SteppedClock
from tests.doubles.cloud import ScriptedCloud
from tests.doubles.decoder import SIZE, ScriptedDecoder, answering

SHA = "ab" * 32


def manifest_data(**changes: Any) -> dict[str, Any]:
    vocabulary = {"size": SIZE, "sha256": SHA, "reserved": ["<|end|>"]}
    data: dict[str, Any] = {
        "schema": 1,
        "id": "bytes",
        "version": "1.0.0",
        "description": "for tests",
        "licence": "Apache-2.0",
        "base_models": [],
        "made_with": "tests",
        "reasoner": {
            "path": "reasoner",
            "files": [],
            "parameters": 1000,
            "vocabulary": vocabulary,
            "prompt": [{"slot": "question"}],
            "end_of_reasoning": "<|end|>",
            "context": 4096,
        },
        "decoder": {
            "path": "decoder.gguf",
            "files": [{"path": "decoder.gguf", "bytes": 3, "sha256": SHA}],
            "parameters": 10,
            "vocabulary": vocabulary,
            "prompt_with_signal": [
                {"template": "Q:"},
                {"slot": "question"},
                {"template": " S:"},
                {"slot": "signal"},
                {"template": " A:"},
            ],
            "prompt_alone": [{"template": "Q:"}, {"slot": "question"}, {"template": " A:"}],
            "end_of_answer": ["<|end|>"],
            "context": 4096,
        },
        "limits": {"question": 64, "budget": 32, "answer": 64},
        "defaults": {"budget": 16, "answer": 64},
        "alone": "useful",
    }
    return {**data, **changes}


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path, Manifest.model_validate(manifest_data()))


@pytest.fixture
def installed(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pair `bytes` is on the device, and the default; the device's home, not there yet."""
    directory = pair.directory / "pairs" / "bytes"
    directory.mkdir(parents=True)
    (directory / "manifest.json").write_text(pair.manifest.to_json())
    home = pair.directory / "home"
    monkeypatch.setenv("DUET_PAIRS", str(directory.parent))
    monkeypatch.setenv("DUET_PAIR", "bytes")
    monkeypatch.setenv("DUET_HOME", str(home))
    return home


@pytest.fixture
def decoder() -> ScriptedDecoder:
    return ScriptedDecoder(answering("häppy 🙂", " A:"))


@pytest.fixture
def cloud(
    installed: Path, decoder: ScriptedDecoder, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ScriptedCloud]:
    """The default server of a device with the pair `bytes`."""
    with default_cloud(decoder, monkeypatch) as cloud:
        yield cloud


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SteppedClock:
    """The clock that deadlines and receipts count by."""
    stepped = SteppedClock()
    monkeypatch.setattr(time, "perf_counter", stepped)
    return stepped


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Block connections and look-ups of other machines; list what was looked up."""
    tried: list[object] = []

    def refuse(*address: object, **_: object) -> None:
        tried.append(address)
        raise OSError("tests are offline")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tried
