"""Which pairs a device loads: `load_decoder` stops before llama.cpp sees a byte of the others."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from duet_contract.builder import builder_key
from duet_contract.keys import public_bytes
from duet_contract.signature import sign_pair
from duet_device.errors import ModelProblem, UntrustedPair
from duet_device.pairs.pair import load_decoder, open_pair
from duet_device.trust.publishers import BY_HAND, pin
from tests.doubles.small_pairs import write_pair

KEY, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))


@dataclass
class Reached:
    """In place of llama.cpp: the file that it would read."""

    path: Path
    """File of the decoder."""
    threads: int
    """Threads for decoding."""


@pytest.fixture(autouse=True)
def loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DUET_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setattr("duet_device.decoder.llama.Decoder", Reached)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_pair(tmp_path / "pair")
    return tmp_path / "pair"


def is_loaded(directory: Path, *, allow_unsigned: bool = False) -> bool:
    reached = load_decoder(open_pair(str(directory), allow_unsigned=allow_unsigned), threads=3)
    return reached == Reached(directory / "decoder" / "m.gguf", 3)


def refused(directory: Path, said: str, *, allow_unsigned: bool = False) -> None:
    pair = open_pair(str(directory), allow_unsigned=allow_unsigned)
    with pytest.raises(ModelProblem, match=said):
        load_decoder(pair)


def test_signed_by_a_pinned_publisher(directory: Path) -> None:
    sign_pair(directory, KEY)
    refused(directory, "does not trust")
    pin("host:1", (public_bytes(KEY),))
    assert is_loaded(directory)
    pin("host:1", ())
    refused(directory, "does not trust")


def test_built_here(directory: Path) -> None:
    sign_pair(directory, builder_key())
    assert is_loaded(directory)
    pin("host:1", (public_bytes(KEY),))
    assert is_loaded(directory)


def test_not_signed(directory: Path) -> None:
    refused(directory, "is not signed.*--allow-unsigned")
    assert is_loaded(directory, allow_unsigned=True)
    pin(BY_HAND, (public_bytes(KEY),))
    refused(directory, "is not signed", allow_unsigned=True)


def test_signed_by_somebody_else(directory: Path) -> None:
    sign_pair(directory, OTHER)
    assert is_loaded(directory, allow_unsigned=True)
    pin(BY_HAND, (public_bytes(KEY),))
    refused(directory, "does not trust", allow_unsigned=True)


def test_a_broken_signature_is_refused_in_any_case(directory: Path) -> None:
    sign_pair(directory, builder_key())
    manifest = directory / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"a toy", b"a TOY"))
    refused(directory, "was altered", allow_unsigned=True)


def test_a_manifest_exchanged_after_it_was_read(directory: Path) -> None:
    sign_pair(directory, builder_key())
    pair = open_pair(str(directory))
    data = json.loads((directory / "manifest.json").read_bytes())
    (directory / "manifest.json").write_text(json.dumps(data | {"description": "other"}))
    sign_pair(directory, builder_key())
    with pytest.raises(ModelProblem, match="exchanged"):
        load_decoder(pair)


def test_an_altered_decoder(directory: Path) -> None:
    sign_pair(directory, builder_key())
    file = directory / "decoder" / "m.gguf"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    refused(directory, "was altered")


def test_pins_that_cannot_be_read_trust_nobody(directory: Path, tmp_path: Path) -> None:
    sign_pair(directory, builder_key())
    (tmp_path / "DUET_HOME").mkdir(mode=0o700)
    (tmp_path / "DUET_HOME" / "publishers.json").write_text("{")
    refused(directory, "trusted publishers", allow_unsigned=True)


def test_a_builders_key_that_others_may_write(directory: Path, tmp_path: Path) -> None:
    sign_pair(directory, builder_key())
    (tmp_path / "XDG_DATA_HOME" / "duet" / "builder" / "builder.pub").chmod(0o666)
    with pytest.raises(UntrustedPair, match="other users"):
        load_decoder(open_pair(str(directory)))
